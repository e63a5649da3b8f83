"""The cases of LightGBM."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import lightgbm as lgb
import numpy as np
from boosters import (
    Data,
    binary,
    case,
    classes,
    digits,
    frame,
    multiclass,
    plain,
    regression,
    shares,
    ties,
    tiny,
)
from case import Case

SIZE: dict[str, Any] = {"n_estimators": 40, "min_child_samples": 5, "verbose": -1, "n_jobs": 2}
RF = {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}
OBJECTIVES = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
POSITIVE = ("poisson", "gamma", "tweedie")


def lightgbm_cases() -> Iterator[Case]:
    """Objectives, boosters, options, kinds of input."""
    yield from _regressors()
    yield from _classifiers()
    yield from _hard()


def regressor(**options: Any) -> Any:
    return lambda data: lgb.LGBMRegressor(**SIZE | options).fit(data.x, data.y)


def classifier(**options: Any) -> Any:
    return lambda data: lgb.LGBMClassifier(**SIZE | options).fit(data.x, data.y)


def booster(rounds: int = 30, **parameters: Any) -> Any:
    given = {"verbose": -1, "num_threads": 2, "min_data_in_leaf": 5, **parameters}
    return lambda data: lgb.train(given, lgb.Dataset(data.x, data.y), rounds)


def _regressors() -> Iterator[Case]:
    gaps = partial(regression, gaps=True)
    for objective in OBJECTIVES:
        yield case(f"lightgbm {objective}", gaps, regressor(objective=objective), plain)
    positive = partial(regression, positive=True)
    for objective in POSITIVE:
        yield case(f"lightgbm {objective}", positive, regressor(objective=objective), plain)
    for objective in ("cross_entropy", "cross_entropy_lambda"):
        yield case(f"lightgbm {objective}", shares, regressor(objective=objective), plain)
    yield case("lightgbm sqrt", regression, regressor(reg_sqrt=True), plain)
    yield case("lightgbm dart", gaps, regressor(boosting_type="dart"), plain)
    yield case("lightgbm rf", gaps, regressor(**RF), plain)
    yield case("lightgbm goss", gaps, regressor(data_sample_strategy="goss"), plain)
    yield case("lightgbm extra trees", gaps, regressor(extra_trees=True), plain)
    yield case("lightgbm no missing in training", regression, regressor(), plain)
    yield case("lightgbm zero_as_missing", gaps, regressor(zero_as_missing=True), plain)
    yield case("lightgbm use_missing=false", gaps, regressor(use_missing=False), plain)
    yield case("lightgbm float32", gaps, regressor(), plain, dtype=np.float32)
    yield case("lightgbm linear trees", gaps, regressor(linear_tree=True), plain)
    narrow = regressor(linear_tree=True, num_leaves=4, n_estimators=5)
    yield case("lightgbm few linear leaves", gaps, narrow, plain)
    own = regressor(objective=lambda y, p: (p - y, np.ones_like(y)))
    yield case("lightgbm objective of the user's", regression, own, plain)
    yield case("lightgbm early stopping", regression, _early, plain)
    yield case("lightgbm Booster of early stopping", regression, lambda d: _early(d).booster_,
               plain)  # fmt: skip
    yield case(
        "lightgbm monotone", regression, regressor(monotone_constraints=[1] + [0] * 9), plain
    )
    deep = regressor(num_leaves=300, min_child_samples=1, n_estimators=150)
    yield case("lightgbm deep", gaps, deep, plain)
    yield case("lightgbm one leaf", lambda: _few(regression()), regressor(), plain)


def _classifiers() -> Iterator[Case]:
    yield case("lightgbm binary", partial(binary, gaps=True), classifier(), classes)
    yield case("lightgbm names", partial(binary, names=True), classifier(sigmoid=2.0), classes)
    yield case("lightgbm unbalanced", binary, classifier(is_unbalance=True), classes)
    yield case("lightgbm multiclass", multiclass, classifier(), classes)
    named = partial(multiclass, names=True)
    yield case("lightgbm multiclass names", named, classifier(), classes, dtype=np.float32)
    yield case("lightgbm multiclassova", multiclass, classifier(objective="multiclassova"), classes)
    yield case("lightgbm digits", digits, classifier(n_estimators=15), classes)
    yield case("lightgbm digits, zeros", digits, classifier(n_estimators=15, zero_as_missing=True),
               classes)  # fmt: skip
    yield case("lightgbm dart classifier", multiclass, classifier(boosting_type="dart"), classes)
    yield case("lightgbm rf classifier, two", binary, classifier(**RF), classes)
    yield case("lightgbm rf classifier, three", multiclass, classifier(**RF), classes)
    yield case("lightgbm linear classifier", multiclass, classifier(linear_tree=True), classes)
    yield case("lightgbm Booster multiclass", multiclass, booster(objective="multiclass",
               num_class=3), plain)  # fmt: skip
    yield case("lightgbm Booster binary", binary, booster(objective="binary"), plain)
    for objective in ("lambdarank", "rank_xendcg"):
        yield case(f"lightgbm {objective}", binary, partial(_ranker, objective), plain)


def _hard() -> Iterator[Case]:
    sets = {"min_data_per_group": 2, "cat_smooth": 1.0, "cat_l2": 1.0}
    yield case("lightgbm frame sets", frame, regressor(**sets, max_cat_to_onehot=1), plain)
    yield case("lightgbm frame one-hot", frame, regressor(**sets, max_cat_to_onehot=10), plain)
    yes = partial(frame, target="class")
    yield case("lightgbm frame classifier", yes, classifier(**sets), classes)
    yield case("lightgbm frame linear", frame, regressor(**sets, linear_tree=True), plain)
    yield case("lightgbm categories of an array", digits, _categorical, plain)
    yield case("lightgbm trained further", partial(regression, gaps=True), _further, plain)
    yield case("lightgbm ties", ties, classifier(), classes)
    yield case("lightgbm ties, rf, float32", ties, classifier(**RF), classes, dtype=np.float32)
    yield case("lightgbm tiny and huge", tiny, regressor(), plain)


def _few(data: Data) -> Data:
    return Data(data.x[:8], data.y[:8], data.held_out)


def _early(data: Data) -> Any:
    stop: list[Any] = [lgb.early_stopping(3, verbose=False)]
    held = (data.x[-90:],), (data.y[-90:],)
    model = lgb.LGBMRegressor(**SIZE | {"n_estimators": 400})
    fit: Any = partial(model.fit, data.x[:-90], data.y[:-90], callbacks=stop)
    return fit(eval_X=held[0], eval_y=held[1])


def _ranker(objective: str, data: Data) -> Any:
    groups = [len(data.y)]
    return lgb.LGBMRanker(**SIZE, objective=objective).fit(data.x, data.y, group=groups)


def _categorical(data: Data) -> Any:
    model = lgb.LGBMRegressor(**SIZE, min_data_per_group=2, cat_smooth=1.0)
    return model.fit(data.x, data.y, categorical_feature=list(range(10, 40)))


def _further(data: Data) -> Any:
    first = booster(zero_as_missing=True)(data)
    rest = lgb.Dataset(np.nan_to_num(data.x), data.y)
    return lgb.train({"verbose": -1, "min_data_in_leaf": 5}, rest, 20, init_model=first)
