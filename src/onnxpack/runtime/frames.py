"""Inputs from one object: a mapping by input name, or a data frame with a column for each input."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from onnxpack.errors import FeedError
from onnxpack.signature import Array, Signature, TensorSpec, describe, dtype_name

PACKAGE = "onnxpack."
LISTS = (list, tuple, np.ndarray)
MISSING_TEXT = ""
"""Replaces a missing text in a column of texts; a sample with both is rejected at export."""


def is_frame(value: object) -> bool:
    """Return whether a value is a data frame of pandas, without importing pandas."""
    return type(value).__name__ == "DataFrame" and hasattr(value, "columns")


def unpack(value: Any, signature: Signature) -> Mapping[str, Any] | None:
    """Return the inputs that one object holds by name; None if it is an input itself.

    Args:
        value: a mapping, such as the output of a tokenizer; a data frame; or anything else.
        signature: signature of the graph.

    Raises:
        FeedError: a column is missing, or cannot be converted to the input's dtype.
    """
    if isinstance(value, Mapping) and value:
        specs = {spec.name: spec for spec in signature.inputs}
        return {name: _as_column(each, specs.get(name)) for name, each in value.items()}
    return read_frame(value, signature) if is_frame(value) else None


def _as_column(value: Any, spec: TensorSpec | None) -> Any:
    """Return a flat column as the rows of an input ``[n, 1]``; any other value unchanged."""
    if spec is None or spec.shape is None or len(spec.shape) != 2 or spec.shape[1] != 1:
        return value
    if type(value).__name__ == "Series" and hasattr(value, "isna"):
        return _column(value, spec)
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value.reshape(-1, 1)
    if isinstance(value, list | tuple) and not any(isinstance(each, LISTS) for each in value):
        return [[_text(each) if spec.dtype == "str" else each] for each in value]
    return value


def _text(value: Any) -> Any:
    """Return an empty text for a missing one, None or NaN; any other value unchanged."""
    return MISSING_TEXT if value is None or value != value else value


def read_frame(frame: Any, signature: Signature) -> dict[str, Array]:
    """Return an array for each input from the frame's column of that name.

    The order of the columns does not matter. Other columns are ignored with a warning.

    Raises:
        FeedError: a column is missing, occurs twice, or cannot be converted to the input's dtype
            without changing a value.
    """
    columns = [str(name) for name in frame.columns]
    wanted = [spec.name for spec in signature.inputs]
    missing = [name for name in wanted if name not in columns]
    if missing:
        remedy = ""
        if len(wanted) == 1 and len(signature.inputs[0].shape or ()) == 2:
            # The pack was made from an array, so it does not know which column is which.
            remedy = f"model(frame.to_numpy({signature.inputs[0].numpy_dtype!r}))"
        raise FeedError(
            f"the data frame has the columns {', '.join(columns) or 'none'}; expected a column for "
            f"each input: {', '.join(wanted)}; missing: {', '.join(missing)}.",
            remedy=remedy,
        )
    twice = next((name for name in wanted if columns.count(name) > 1), None)
    if twice is not None:
        raise FeedError(f"the data frame has {columns.count(twice)} columns named {twice!r}.")
    warn_of_ignored(columns, wanted)
    by_name = dict(zip(columns, frame.columns, strict=True))
    return {spec.name: _column(frame[by_name[spec.name]], spec) for spec in signature.inputs}


def warn_of_ignored(columns: Sequence[str], wanted: Sequence[str]) -> None:
    """Warn the user of columns that no input takes."""
    ignored = [name for name in columns if name not in wanted]
    if ignored:
        warnings.warn(
            f"columns without an input are ignored: {', '.join(ignored)}",
            UserWarning,
            stacklevel=_callers(),
        )


def _callers() -> int:
    """Return the ``stacklevel`` of the first caller outside of this package."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - as the warnings module does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


def _column(series: Any, spec: TensorSpec) -> Array:
    return as_rows(read_texts(series) if spec.dtype == "str" else _numbers(series, spec), spec)


def as_rows(column: Array, spec: TensorSpec) -> Array:
    """Return a column as the rows of an input: ``[n]`` or ``[n, 1]``, by the signature."""
    return column.reshape(-1, 1) if spec.shape is not None and len(spec.shape) == 2 else column


def read_texts(series: Any) -> Array:
    """Return a column of texts as objects; a missing one is an empty text."""
    values = series.astype(object)
    return np.asarray(values.where(values.notna(), MISSING_TEXT).to_numpy(object))


def _numbers(series: Any, spec: TensorSpec) -> Array:
    wanted = np.dtype(spec.numpy_dtype)
    # An extension dtype, such as Int64 or boolean, holds its gaps beside its numbers.
    gaps = bool(series.isna().any())
    plain = series.to_numpy("float64", na_value=np.nan) if gaps and _is_numeric(series) else None
    found = np.asarray(series.to_numpy() if plain is None else plain)
    if found.dtype == object and not gaps and all(type(item) is bool for item in found):
        found = found.astype(bool)
    if found.dtype.kind not in "biuf" or not _keeps_values(found, wanted):
        held = "missing values" if gaps and wanted.kind in "biu" else str(series.dtype)
        raise FeedError(
            f"column {spec.name!r} holds {held}: {describe(dtype_name(found.dtype), found.shape)}, "
            f"expected {spec}.",
            remedy=""
            if gaps
            else f"frame[{spec.name!r}] = frame[{spec.name!r}].astype({spec.numpy_dtype!r})",
        )
    return found.astype(wanted)


def _is_numeric(series: Any) -> bool:
    return getattr(series.dtype, "kind", "O") in "biuf"


def _keeps_values(found: Array, wanted: np.dtype[Any]) -> bool:
    """Return whether numbers keep their values in the input's dtype, whatever they are."""
    return bool(np.can_cast(found.dtype, wanted, "safe")) and (
        (found.dtype.kind == "b") == (wanted.kind == "b")
    )
