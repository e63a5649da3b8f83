"""The cases of XGBoost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import xgboost as xgb
from boosters import (
    Data,
    binary,
    case,
    classes,
    digits,
    frame,
    labels,
    multiclass,
    plain,
    regression,
    several,
    shares,
    ties,
    tiny,
)
from case import Case
from numpy.typing import NDArray

SIZE: dict[str, Any] = {"n_estimators": 40, "max_depth": 5, "n_jobs": 2}
OBJECTIVES = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror")
POSITIVE = ("count:poisson", "reg:gamma", "reg:tweedie", "reg:squaredlogerror", "survival:cox")


def xgboost_cases() -> Iterator[Case]:
    """Objectives, boosters, options, kinds of input."""
    yield from _regressors()
    yield from _classifiers()
    yield from _boosters()
    yield from _hard()


def regressor(**options: Any) -> Any:
    return lambda data: xgb.XGBRegressor(**SIZE | options).fit(data.x, data.y)


def classifier(**options: Any) -> Any:
    return lambda data: xgb.XGBClassifier(**SIZE | options).fit(data.x, data.y)


def booster(rounds: int = 40, **parameters: Any) -> Any:
    def fit(data: Data) -> Any:
        return xgb.train({"nthread": 2, **parameters}, xgb.DMatrix(data.x, data.y), rounds)

    return fit


def ask(model: Any, rows: Any) -> list[NDArray[Any]]:
    return [np.asarray(model.predict(xgb.DMatrix(rows)))]


def _regressors() -> Iterator[Case]:
    gaps = partial(regression, gaps=True)
    positive = partial(regression, positive=True)
    for objective in OBJECTIVES:
        yield case(f"xgboost {objective}", gaps, regressor(objective=objective), plain)
    for objective in POSITIVE:
        yield case(f"xgboost {objective}", positive, regressor(objective=objective), plain)
    yield case("xgboost reg:logistic", shares, regressor(objective="reg:logistic"), plain)
    alpha = [0.1, 0.5, 0.9]
    quantile = regressor(objective="reg:quantileerror", quantile_alpha=alpha)
    yield case("xgboost three quantiles", regression, quantile, plain)
    one = regressor(objective="reg:quantileerror", quantile_alpha=0.3)
    yield case("xgboost one quantile", regression, one, plain)
    yield case("xgboost several targets", several, regressor(), plain)
    trees = regressor(multi_strategy="multi_output_tree")
    yield case("xgboost trees of several targets", several, trees, plain)
    yield case("xgboost float32", gaps, regressor(), plain, dtype=np.float32)
    yield case("xgboost base_score", regression, regressor(base_score=123.0), plain)
    yield case("xgboost exact", gaps, regressor(tree_method="exact"), plain)
    yield case("xgboost approx", gaps, regressor(tree_method="approx"), plain)
    yield case("xgboost lossguide", gaps, regressor(grow_policy="lossguide", max_leaves=40), plain)
    signs = (1, 0, -1, 0, 0, 0, 0, 0, 0, 0)
    yield case("xgboost monotone", regression, regressor(monotone_constraints=signs), plain)
    missing = regressor(missing=0.0)
    yield case("xgboost missing=0", gaps, missing, plain)
    rf = lambda data: xgb.XGBRFRegressor(**SIZE).fit(data.x, data.y)  # noqa: E731
    yield case("xgboost XGBRFRegressor", regression, rf, plain)
    own = regressor(objective=lambda y, p: (p - y, np.ones_like(y)))
    yield case("xgboost objective of the user's", regression, own, plain)
    yield case("xgboost early stopping", regression, _early, plain)
    yield case("xgboost boosted forest", regression, regressor(num_parallel_tree=4), plain)
    yield case("xgboost one stump", regression, regressor(n_estimators=1, max_depth=1), plain)
    yield case("xgboost deep", gaps, regressor(n_estimators=200, max_depth=14), plain)


def _classifiers() -> Iterator[Case]:
    gaps = partial(binary, gaps=True)
    for objective in ("binary:logistic", "binary:hinge", "binary:logitraw"):
        yield case(f"xgboost {objective}", gaps, classifier(objective=objective), classes)
    yield case("xgboost softprob", multiclass, classifier(), classes)
    yield case("xgboost softmax", multiclass, classifier(objective="multi:softmax"), classes)
    yield case("xgboost digits", digits, classifier(n_estimators=25), classes)
    yield case("xgboost labels", labels, classifier(), classes)
    joint = classifier(multi_strategy="multi_output_tree")
    yield case("xgboost trees of several labels", labels, joint, classes)
    joint = classifier(multi_strategy="multi_output_tree", tree_method="hist")
    yield case("xgboost trees of several classes", multiclass, joint, classes)
    rf = lambda data: xgb.XGBRFClassifier(**SIZE).fit(data.x, data.y)  # noqa: E731
    yield case("xgboost XGBRFClassifier, two", binary, rf, classes)
    yield case("xgboost XGBRFClassifier, ten", digits, rf, classes)
    weighted = classifier(scale_pos_weight=7, max_delta_step=1)
    yield case("xgboost weighted", binary, weighted, classes)
    yield case("xgboost dart classifier", digits, classifier(booster="dart", rate_drop=0.3,
               n_estimators=15), classes)  # fmt: skip
    yield case("xgboost linear classifier", multiclass, classifier(booster="gblinear"), classes)


def _boosters() -> Iterator[Case]:
    dart = {"booster": "dart", "rate_drop": 0.3, "skip_drop": 0.2}
    yield case("xgboost dart", regression, regressor(**dart), plain)
    forest = {**dart, "normalize_type": "forest", "one_drop": 1}
    yield case("xgboost dart by forest", regression, regressor(**forest), plain)
    yield case("xgboost gblinear", partial(regression, gaps=True), regressor(booster="gblinear"),
               plain)  # fmt: skip
    yield case("xgboost Booster", partial(regression, gaps=True), booster(), ask)
    logistic = booster(objective="binary:logistic", base_score=0.3)
    yield case("xgboost Booster logistic", binary, logistic, ask)
    softmax = booster(objective="multi:softmax", num_class=3)
    yield case("xgboost Booster softmax", multiclass, softmax, ask)
    yield case("xgboost Booster softprob", multiclass, booster(objective="multi:softprob",
               num_class=3), ask)  # fmt: skip
    poisson = booster(objective="count:poisson", booster="dart", rate_drop=0.5)
    yield case("xgboost Booster dart poisson", partial(regression, positive=True), poisson, ask)
    yield case("xgboost survival:aft", partial(regression, positive=True), _aft, ask)
    for objective in ("rank:ndcg", "rank:pairwise", "rank:map"):
        yield case(f"xgboost {objective}", binary, partial(_ranker, objective), plain)


def _hard() -> Iterator[Case]:
    categories: dict[str, Any] = {"enable_categorical": True}
    yield case("xgboost frame partitions", frame, regressor(**categories, max_cat_to_onehot=1),
               plain)  # fmt: skip
    onehot = regressor(**categories, max_cat_to_onehot=10)
    yield case("xgboost frame one-hot", frame, onehot, plain)
    yes = partial(frame, target="class")
    yield case("xgboost frame classifier", yes, classifier(**categories), classes)
    dart = classifier(**categories, booster="dart", rate_drop=0.2)
    yield case("xgboost frame dart", yes, dart, classes)
    yield case("xgboost ties", ties, classifier(), classes)
    yield case("xgboost ties, float32", ties, classifier(), classes, dtype=np.float32)
    yield case("xgboost tiny and huge", tiny, regressor(), plain)


def _early(data: Data) -> Any:
    model = xgb.XGBRegressor(**SIZE | {"n_estimators": 400}, early_stopping_rounds=3)
    pairs = [(data.x[-90:], data.y[-90:])]
    return model.fit(data.x[:-90], data.y[:-90], eval_set=pairs, verbose=False)


def _ranker(objective: str, data: Data) -> Any:
    query = np.arange(len(data.y)) // 20
    return xgb.XGBRanker(**SIZE, objective=objective).fit(data.x, data.y, qid=query)


def _aft(data: Data) -> Any:
    matrix = xgb.DMatrix(data.x)
    matrix.set_float_info("label_lower_bound", data.y)
    matrix.set_float_info("label_upper_bound", np.where(data.y > 2, np.inf, data.y))
    return xgb.train({"objective": "survival:aft"}, matrix, 30)
