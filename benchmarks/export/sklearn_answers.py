"""scikit-learn's own answers to rows that the proof never saw, in the order of a pack's outputs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rows = Iterator[tuple[str, Callable[[], Any], Callable[[], tuple[Any, Any]]]]
"""Models by name: how each is made, and the rows and targets that it is fitted to."""


def checks(model: Any, rows: Any) -> Iterator[tuple[Any, list[Array]]]:
    """Held-out rows at once, one of them alone, and rows far from all others."""
    for some in (rows, rows[:1], _far(rows)):
        try:
            found = answers(model, some)
        except ValueError:  # the estimator takes no such rows
            continue
        yield feeds(some), found


def feeds(rows: Any) -> dict[str, Array]:
    """Rows as the inputs of a pack: one a column of a frame, else ``X``."""
    if not hasattr(rows, "columns"):
        return {"X": np.array(rows, object) if _is_text(rows) else np.asarray(rows)}
    return {str(name): _column(rows[name]) for name in rows.columns}


def _column(series: Any) -> Array:
    """A column as a pack takes it: [batch, 1], and an empty text for a missing one."""
    if series.dtype.kind in "biuf":
        plain = series.astype("float64") if hasattr(series.dtype, "na_value") else series
        return np.asarray(plain)[:, None]
    if hasattr(series, "cat") and series.cat.categories.dtype.kind in "biuf":
        return np.asarray(series.astype("float64" if series.isna().any() else np.int64))[:, None]
    return np.asarray(series.astype(object).where(series.notna(), ""), object)[:, None]


def _is_text(rows: Any) -> bool:
    if hasattr(rows, "columns"):
        return False
    return isinstance(rows, list) or np.asarray(rows).dtype.kind in "OU"


def _far(rows: Any) -> Any:
    if hasattr(rows, "columns"):
        return rows.sample(frac=1, random_state=0).head(37)
    if _is_text(rows) or rows.dtype.kind != "f":
        return rows[::-1]
    return (rows[::2] * 7).astype(rows.dtype)


def answers(model: Any, rows: Any) -> list[Array]:
    """The estimator's own answer, in the order of the pack's outputs."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = [value for method in _methods(model) for value in _spread(model, method, rows)]
    return [np.asarray(value.toarray() if hasattr(value, "toarray") else value) for value in found]


def _methods(model: Any) -> list[str]:
    from sklearn.base import is_outlier_detector, is_regressor

    if not hasattr(model, "predict"):
        return ["transform"]
    if is_regressor(model):
        return ["predict"]
    second = "decision_function"
    if not is_outlier_detector(model) and hasattr(model, "predict_proba"):
        second = "predict_proba"
    return ["predict", second] if hasattr(model, second) else ["predict"]


def _spread(model: Any, method: str, rows: Any) -> list[Any]:
    found = getattr(model, method)(rows)
    if isinstance(found, list):
        return found
    shape = np.shape(found)
    if method == "transform" and len(shape) == 1 and len(rows) == 1 and np.ndim(rows) == 2:
        return [np.asarray(found)[None]]
    return [found]
