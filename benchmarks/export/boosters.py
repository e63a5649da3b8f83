"""XGBoost, LightGBM and CatBoost: objectives × boosters × options, on real data of scikit-learn.

Each case is checked on rows that the proof does not see: held-out rows, training rows (whose
values are thresholds), midpoints between these, rows with NaN, and a batch of thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from case import Case, Given
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split

Array = NDArray[Any]
Fit = Callable[["Data"], Any]
Answer = Callable[[Any, Any], list[Array]]

LARGE = 3000


@dataclass(frozen=True)
class Data:
    """Rows to train on and rows that are held out: arrays or data frames."""

    x: Any
    y: Array
    held_out: Any


def cases() -> Iterator[Case]:
    """Every case of the three."""
    from boosters_catboost import catboost_cases
    from boosters_lightgbm import lightgbm_cases
    from boosters_xgboost import xgboost_cases

    yield from xgboost_cases()
    yield from lightgbm_cases()
    yield from catboost_cases()


def case(name: str, data: Callable[[], Data], fit: Fit, answer: Answer, **how: Any) -> Case:
    """A case: data, what is trained on it, and how it is asked."""
    return Case(name, partial(_given, data, fit, answer, **how))


def _given(
    data: Callable[[], Data],
    fit: Fit,
    answer: Answer,
    *,
    rows: int | None = 5,
    nan: bool = True,
    dtype: Any = np.float64,
) -> Given:
    given = data()
    model = fit(given)
    checks = [
        (feeds_of(asked), answer(model, asked))
        for asked in (_cast(each, dtype) for each in _asked(given, nan=nan))
    ]
    sample = _cast(given.x, dtype)
    return Given(model, sample if rows is None else sample[:rows], checks)


def feeds_of(rows: Any) -> Any:
    """Rows as inputs of a pack: one array, or an array [batch, 1] for each column."""
    if isinstance(rows, np.ndarray):
        return (rows,)
    return {str(name): _column(rows[name])[:, None] for name in rows}


def _column(series: Any) -> Array:
    if hasattr(series, "cat") or series.dtype.kind not in "biuf":
        plain = series.astype(object).to_numpy()
        return np.asarray(plain if isinstance(plain[0], str) else plain.astype(np.int64))
    return np.asarray(series.to_numpy())


def _cast(rows: Any, dtype: Any) -> Any:
    return rows.astype(dtype) if isinstance(rows, np.ndarray) else rows


def _asked(data: Data, *, nan: bool) -> Iterator[Any]:
    random = np.random.default_rng(7)
    yield data.held_out
    yield data.held_out[:1]
    yield data.x
    if not isinstance(data.x, np.ndarray):
        yield data.x.iloc[random.integers(len(data.x), size=LARGE)].reset_index(drop=True)
        return
    ordered = np.sort(data.x, axis=0)
    yield (ordered[1:] + ordered[:-1]) / 2
    mixed = data.x[random.integers(len(data.x), size=(LARGE, data.x.shape[1])),
                   np.arange(data.x.shape[1])]  # fmt: skip
    yield mixed
    if nan:
        yield np.where(random.random(mixed.shape) < 0.2, np.nan, mixed)


def _split(x: Any, y: Array) -> Data:
    x, held_out, y, _ = train_test_split(x, y, test_size=0.3, random_state=0)
    return Data(x, y, held_out)


def regression(*, gaps: bool = False, positive: bool = False) -> Data:
    """Diabetes: 442 people, 10 measurements."""
    x, y = datasets.load_diabetes(return_X_y=True)
    x = np.asarray(x * 100)
    if gaps:
        random = np.random.default_rng(1)
        x[random.random(x.shape) < 0.1] = np.nan
        x[random.random(x.shape) < 0.15] = 0
    return _split(x, np.asarray(y / 100 if positive else y - y.mean()))


def shares() -> Data:
    """Diabetes, the target between 0 and 1."""
    data = regression()
    return Data(data.x, 1 / (1 + np.exp(-data.y / 50)), data.held_out)


def several() -> Data:
    """Diabetes with three targets."""
    data = regression()
    targets = np.stack([data.y, data.x[:, 2] * 3 - data.y, np.abs(data.y)], axis=1)
    return Data(data.x, targets, data.held_out)


def binary(*, names: bool = False, gaps: bool = False) -> Data:
    """Breast cancer: 569 samples, 30 measurements, two classes."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    if gaps:
        x = np.where(np.random.default_rng(1).random(x.shape) < 0.1, np.nan, x)
    return _split(np.asarray(x), np.where(y > 0, "benign", "malignant") if names else y)


def multiclass(*, names: bool = False) -> Data:
    """Wine: 178 samples, 13 measurements, three classes."""
    x, y = datasets.load_wine(return_X_y=True)
    return _split(np.asarray(x), np.array(["red", "rosé", "white"])[y] if names else y)


def digits() -> Data:
    """Digits: 1,797 pictures of 64 pixels, most of them zero; ten classes."""
    x, y = datasets.load_digits(return_X_y=True)
    return _split(np.asarray(x), y)


def labels() -> Data:
    """Digits with three labels: even, above four, prime."""
    data = digits()
    y = np.stack([data.y % 2 == 0, data.y > 4, np.isin(data.y, [2, 3, 5, 7])], axis=1)
    return Data(data.x[:600], y[:600].astype(int), data.held_out)


def ties() -> Data:
    """Few values, so that many rows stand exactly at thresholds, and many sums are equal."""
    random = np.random.default_rng(3)
    x = random.integers(-2, 3, size=(600, 6)).astype(float)
    return _split(x, (x[:, 0] * x[:, 1] > 0).astype(int) + (x[:, 2] > 0))


def tiny() -> Data:
    """Values around LightGBM's zero, 1e-35, and around the limits of float32."""
    random = np.random.default_rng(4)
    size = 10.0 ** random.choice([-45, -38, -35, -34, 0, 30, 37], size=(500, 5))
    x = random.choice([-1.0, 0, 1], size=size.shape) * size * random.random(size.shape)
    return _split(x, np.sign(x[:, 0]) + np.log10(np.abs(x[:, 1]) + 1e-40))


def frame(*, kind: str = "category", target: str = "number") -> Data:
    """Diabetes as a data frame with categories of texts and of integers, bools and integers."""
    x, y = datasets.load_diabetes(return_X_y=True, as_frame=True)
    random = np.random.default_rng(5)
    x = x.astype({"age": "float32"})
    x["city"] = random.choice(["Aachen", "Bonn", "Köln", "Trier", "Worms", "Zeitz"], len(x))
    x["ward"] = random.choice([3, 7, 20, 41], len(x))
    x["old"] = np.asarray(x["bmi"]) > 0.02
    x["visits"] = random.integers(0, 20, len(x))
    if kind == "category":
        x = x.astype({"city": "category", "ward": "category"})
    number = np.asarray(y + 60 * (x["city"] == "Bonn") + 40 * (x["ward"] == 20))
    data = _split(x.reset_index(drop=True), number if target == "number" else number > 170)
    tables = [each.reset_index(drop=True) for each in (data.x, data.held_out)]
    return Data(tables[0], data.y, tables[1])


def plain(model: Any, rows: Any) -> list[Array]:
    """What ``predict`` gives."""
    return [np.asarray(model.predict(rows))]


def classes(model: Any, rows: Any) -> list[Array]:
    """What ``predict`` and ``predict_proba`` give."""
    label = np.asarray(model.predict(rows))
    return [label.astype(object) if label.dtype.kind == "U" else label,
            np.asarray(model.predict_proba(rows))]  # fmt: skip
