"""The cases of CatBoost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import catboost as cb
import numpy as np
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
    ties,
    tiny,
)
from case import Case

SIZE: dict[str, Any] = {
    "iterations": 40, "depth": 5, "verbose": 0, "allow_writing_files": False, "thread_count": 2,
}  # fmt: skip
LOSSES = (
    "RMSE", "MAE", "Quantile:alpha=0.3", "MultiQuantile:alpha=0.1,0.5,0.9", "Huber:delta=1",
    "Expectile:alpha=0.3", "LogCosh", "Lq:q=3", "RMSEWithUncertainty", "Cox",
)  # fmt: skip
POSITIVE = ("Poisson", "Tweedie:variance_power=1.5", "MAPE", "LogLinQuantile")
ONE_HOT: dict[str, Any] = {"cat_features": ["city", "ward"], "one_hot_max_size": 50}


def catboost_cases() -> Iterator[Case]:
    """Losses, shapes of trees, options, kinds of input."""
    yield from _regressors()
    yield from _classifiers()
    yield from _hard()


def regressor(**options: Any) -> Any:
    return lambda data: cb.CatBoostRegressor(**SIZE | options).fit(data.x, data.y)


def classifier(**options: Any) -> Any:
    return lambda data: cb.CatBoostClassifier(**SIZE | options).fit(data.x, data.y)


def _regressors() -> Iterator[Case]:
    gaps = partial(regression, gaps=True)
    for loss in LOSSES:
        yield case(f"catboost {loss}", gaps, regressor(loss_function=loss), plain)
    positive = partial(regression, positive=True)
    for loss in POSITIVE:
        yield case(f"catboost {loss}", positive, regressor(loss_function=loss), plain)
    yield case("catboost MultiRMSE", several, regressor(loss_function="MultiRMSE"), plain)
    yield case("catboost Depthwise", gaps, regressor(grow_policy="Depthwise"), plain)
    lossguide = regressor(grow_policy="Lossguide", max_leaves=25)
    yield case("catboost Lossguide", gaps, lossguide, plain)
    for mode in ("Min", "Max"):
        yield case(f"catboost nan_mode={mode}", gaps, regressor(nan_mode=mode), plain)
    forbidden = regressor(nan_mode="Forbidden")
    yield case("catboost nan_mode=Forbidden", regression, forbidden, plain, nan=False)
    yield case("catboost no NaN in training", regression, regressor(), plain, nan=False)
    yield case("catboost float32", gaps, regressor(), plain, dtype=np.float32)
    yield case("catboost Ordered", gaps, regressor(boosting_type="Ordered"), plain)
    yield case("catboost many borders", gaps, regressor(border_count=250), plain)
    yield case("catboost early stopping", regression, _early, plain, nan=False)
    yield case("catboost CatBoost of Poisson", positive, _raw, plain, nan=False)
    yield case("catboost ranker", binary, _ranker, plain, nan=False)
    yield case("catboost deep", gaps, regressor(depth=9, iterations=60), plain)


def _classifiers() -> Iterator[Case]:
    gaps = partial(binary, gaps=True)
    yield case("catboost Logloss", gaps, classifier(), classes)
    yield case("catboost names", partial(binary, names=True), classifier(), classes, nan=False)
    yield case("catboost balanced", gaps, classifier(auto_class_weights="Balanced"), classes)
    yield case("catboost threshold", gaps, _threshold, classes)
    cross = classifier(loss_function="CrossEntropy")
    yield case("catboost CrossEntropy", gaps, cross, classes)
    yield case("catboost MultiClass", multiclass, classifier(), classes, nan=False)
    named = partial(multiclass, names=True)
    yield case("catboost MultiClass names", named, classifier(), classes, nan=False)
    ova = classifier(loss_function="MultiClassOneVsAll")
    yield case("catboost OneVsAll", digits, ova, classes, nan=False)
    yield case("catboost digits", digits, classifier(), classes, nan=False)
    many = classifier(loss_function="MultiLogloss")
    yield case("catboost MultiLogloss", labels, many, classes, nan=False)
    guided = classifier(grow_policy="Lossguide")
    yield case("catboost Lossguide classifier", multiclass, guided, classes, nan=False)


def _hard() -> Iterator[Case]:
    texts = partial(frame, kind="text")
    yield case("catboost frame one-hot", texts, regressor(**ONE_HOT), plain, rows=None)
    yield case("catboost frame of categories", frame, regressor(**ONE_HOT), plain, rows=None)
    yes = partial(frame, kind="text", target="class")
    yield case("catboost frame classifier", yes, classifier(**ONE_HOT), classes, rows=None)
    guided = regressor(**ONE_HOT, grow_policy="Lossguide")
    yield case("catboost frame Lossguide", texts, guided, plain, rows=None)
    ctr = regressor(cat_features=["city", "ward"])
    yield case("catboost frame CTR", texts, ctr, plain, rows=None)
    yield case("catboost ties", ties, classifier(), classes, nan=False)
    yield case("catboost ties, float32", ties, classifier(), classes, nan=False, dtype=np.float32)
    yield case("catboost tiny and huge", tiny, regressor(), plain, nan=False)


def _early(data: Data) -> Any:
    model = cb.CatBoostRegressor(**SIZE | {"iterations": 500}, early_stopping_rounds=5)
    return model.fit(data.x[:-90], data.y[:-90], eval_set=(data.x[-90:], data.y[-90:]))


def _raw(data: Data) -> Any:
    return cb.CatBoost(SIZE | {"loss_function": "Poisson"}).fit(data.x, data.y)


def _ranker(data: Data) -> Any:
    return cb.CatBoostRanker(**SIZE).fit(data.x, data.y, group_id=np.arange(len(data.y)) // 20)


def _threshold(data: Data) -> Any:
    model = cb.CatBoostClassifier(**SIZE).fit(data.x, data.y)
    model.set_probability_threshold(0.31)
    return model
