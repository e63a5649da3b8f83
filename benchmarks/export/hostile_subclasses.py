"""Estimators and boosters whose users replaced a part by code of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from case import Case, Given
from numpy.typing import NDArray

Array = NDArray[Any]


def cases() -> Iterator[Case]:
    for name, make in MODELS.items():
        yield Case(f"subclasses/{name}", partial(_given, make))


def _given(make: Callable[[Array, Array], Any]) -> Given:
    random = np.random.default_rng(0)
    rows = np.column_stack([random.uniform(10, 60, 2000), random.normal(size=(2000, 2))])
    model = make(rows, rows[:, 1] + np.abs(rows[:, 2]))
    sample = rows[rows[:, 0] > 21][:40]
    return Given(model, sample, [(each, [np.asarray(model.predict(each))]) for each in (rows,)])


def _banded(rows: Any, answer: Array) -> Array:
    """A rule about a few rows, between what the sample and the edges of trees hold."""
    x = np.asarray(rows)
    return np.where((x[:, 0] >= 18) & (x[:, 0] < 21) & (x[:, 1] > 0.1) & (x[:, 1] < 0.7), 0, answer)


def _subclassed(kind: Callable[[], type], **options: Any) -> Callable[[Array, Array], Any]:
    def make(x: Array, y: Array) -> Any:
        parent = kind()

        def predict(self: Any, rows: Any, **others: Any) -> Array:
            return _banded(rows, parent.predict(self, rows, **others))  # type: ignore[attr-defined]

        return type(parent.__name__, (parent,), {"predict": predict})(**options).fit(x, y)

    return make


def _replaced(kind: Callable[[], type], **options: Any) -> Callable[[Array, Array], Any]:
    def make(x: Array, y: Array) -> Any:
        model = kind()(**options).fit(x, y)
        own = model.predict
        model.predict = lambda rows, **others: _banded(rows, own(rows, **others))
        return model

    return make


def _clipped_scaler(x: Array, y: Array) -> Any:
    """A subclass in the middle of a pipeline."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    class Clipped(StandardScaler):
        def transform(self, rows: Any, copy: bool | None = None) -> Array:
            scaled: Array = super().transform(rows, copy)
            return np.maximum(scaled, -0.9)

    return make_pipeline(Clipped(), Ridge()).fit(x, y)


def _ridge() -> type:
    from sklearn.linear_model import Ridge

    return Ridge


def _forest() -> type:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor


def _lightgbm() -> type:
    import lightgbm

    return lightgbm.LGBMRegressor


def _xgboost() -> type:
    import xgboost

    return xgboost.XGBRegressor


def _catboost() -> type:
    import catboost

    return catboost.CatBoostRegressor


MODELS: dict[str, Callable[[Array, Array], Any]] = {
    "Ridge": _subclassed(_ridge),
    "RandomForest": _subclassed(_forest, n_estimators=5, max_depth=3),
    "LightGBM": _subclassed(_lightgbm, n_estimators=5, verbose=-1),
    "XGBoost": _subclassed(_xgboost, n_estimators=5),
    "CatBoost": _subclassed(_catboost, n_estimators=5, verbose=0, allow_writing_files=False),
    "predict of Ridge replaced": _replaced(_ridge),
    "predict of LightGBM replaced": _replaced(_lightgbm, n_estimators=5, verbose=-1),
    "predict of XGBoost replaced": _replaced(_xgboost, n_estimators=5),
    "scaler in a pipeline": _clipped_scaler,
}
