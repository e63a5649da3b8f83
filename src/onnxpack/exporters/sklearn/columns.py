"""Conversion of a data frame's columns to arrays that a tensor can hold, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import SampleError
from onnxpack.runtime.frames import MISSING_TEXT
from onnxpack.signature import Array


def column_array(name: str, series: Any, notes: list[str]) -> Array:
    """Return a column as an array of numbers, bools or texts.

    Args:
        notes: receives notes on how missing values are represented.

    Raises:
        SampleError: no tensor can hold the column's values.
    """
    kind = getattr(series.dtype, "kind", "O")
    missing = series.isna()
    if isinstance(series.dtype, _pandas().CategoricalDtype):
        kind = series.cat.categories.dtype.kind
        if kind in "biu" and missing.any():
            kind = "f"
        return _plain(name, series.astype(object), kind, missing, notes)
    if kind in "biu" and missing.any():
        kind = "f"
        notes.append(f"column {name!r} has missing values: it is float64, and NaN means missing")
    return _plain(name, series, kind, missing, notes)


def _plain(name: str, series: Any, kind: str, missing: Any, notes: list[str]) -> Array:
    if kind == "f":
        wide = "float32" if str(series.dtype).lower() == "float32" else "float64"
        return np.asarray(series.to_numpy(wide, na_value=np.nan))
    if kind in "iu":
        dtype = np.dtype(str(series.dtype).lower()) if series.dtype != object else np.int64
        return np.asarray(series.to_numpy(dtype))
    if kind == "b":
        return np.asarray(series.to_numpy(bool))
    present = series[~missing]
    if kind in "OUT" and len(present) and all(isinstance(item, str) for item in present):
        if missing.any():
            notes.append(f"column {name!r} has missing texts: an empty text stands for them")
        if missing.any() and (present == MISSING_TEXT).any():
            raise SampleError(
                f"column {name!r} has missing texts and empty ones, which a graph cannot tell "
                "apart.",
                remedy=f"before fit and here: frame[{name!r}] = frame[{name!r}].replace('', None)",
            )
        return np.asarray(series.astype(object).where(~missing, MISSING_TEXT).to_numpy(object))
    bools = len(present) == len(series) and all(type(item) is bool for item in present)
    if kind == "O" and bools:
        return np.asarray(series.to_numpy(bool))
    raise SampleError(
        f"column {name!r} of dtype {series.dtype} holds {_kinds(present)}, expected numbers, "
        "bools or texts.",
        remedy=f"before fit and here: {_as_numbers_or_texts(name, series)}",
    )


def _as_numbers_or_texts(name: str, series: Any) -> str:
    """Return a line of code that turns a column into numbers or texts, and works for its values."""
    column = f"frame[{name!r}]"
    if getattr(series.dtype, "kind", "O") in "mM":
        # pandas cannot cast times to float, and casts NaT to the smallest integer.
        return f"{column} = {column}.astype('int64').where({column}.notna())"
    try:
        series.astype(float)
    except (TypeError, ValueError):
        return f"{column} = {column}.astype(str)"
    return f"{column} = {column}.astype(float)"


def _kinds(values: Any) -> str:
    return " and ".join(sorted({type(item).__name__ for item in values})) or "nothing"


def series_like(like: Any, values: Array, known_gap: Any = np.nan) -> Any:
    """Return an array as a column of the same kind as the user's column.

    Args:
        like: the user's column.
        known_gap: what a missing text becomes if the user's column has none: NaN, or None if the
            model was fitted with None, because encoders distinguish the two.
    """
    pd = _pandas()
    plain = like.astype(object)
    if values.dtype.kind == "O" and not (plain == MISSING_TEXT).any():
        gap = next((item for item in plain if pd.isna(item)), known_gap)
        values = np.array([gap if item == MISSING_TEXT else item for item in values], object)
    if isinstance(like.dtype, pd.CategoricalDtype):
        known = like.cat.categories
        present = pd.Index([item for item in pd.unique(values) if not pd.isna(item)])
        return pd.Series(pd.Categorical(values, categories=known.union(present, sort=False)))
    # pandas 3 converts objects to its own string dtype, in which None becomes NaN.
    kept = like.dtype == object and values.dtype == object
    return pd.Series(values, dtype=object) if kept else pd.Series(values)


def _pandas() -> Any:
    import pandas as pd

    return pd
