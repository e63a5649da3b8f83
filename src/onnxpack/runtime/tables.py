"""Inputs from a table in a file: ``.csv`` or ``.parquet``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from onnxpack.errors import MissingExtraError, UsageError
from onnxpack.runtime.frames import as_rows, read_texts, warn_of_ignored
from onnxpack.signature import Array, Signature, TensorSpec

TABLES = (".csv", ".parquet")
MAX_CELLS = 2**28
"""Most cells of a Parquet file: 2 GiB of numbers."""
MAX_HEADER = 2**20
"""Most bytes of the first line of a text: pandas takes minutes for millions of columns."""
UNREADABLE = (OSError, ValueError, ImportError)
"""Errors of pandas for a file that is not a table, or for which no reader is installed."""


def open_table(path: Path, dtypes: Any = None) -> Any:
    """Return a table of a file as a data frame.

    Args:
        path: a file whose name ends in one of :data:`TABLES`.
        dtypes: dtypes of columns of a text file; pandas infers the others.

    Raises:
        MissingExtraError: pandas is not installed.
        OSError, ValueError, ImportError: the file cannot be read.
    """
    try:
        import pandas as pd
    except ImportError as exc:
        raise MissingExtraError("pandas", extra="sklearn") from exc
    if path.suffix.lower() == ".csv":
        _check_header(path)
        return pd.read_csv(path, dtype=dtypes)
    _check_cells(path)
    return pd.read_parquet(path, engine="pyarrow")


def _check_header(path: Path) -> None:
    with path.open("rb") as text:
        if len(text.readline(MAX_HEADER + 1)) > MAX_HEADER:
            raise ValueError(f"its first line has more than {MAX_HEADER} bytes")


def _check_cells(path: Path) -> None:
    """Refuse a Parquet file that unpacks to too many cells: a run of equal ones takes no space."""
    from pyarrow import dataset

    found = dataset.dataset(path, format="parquet")
    cells = found.count_rows() * len(found.schema)
    if cells > MAX_CELLS:
        raise ValueError(f"it has {cells} cells, expected at most {MAX_CELLS}")


def read_table(path: Path, signature: Signature) -> dict[str, Array]:
    """Return an array for each input from a table with a header.

    Each input takes the column of its name. If a model has one input, all columns may also be its
    features, in the order of the file. Numbers of a text file have no dtype, so they take that of
    the input; a number that would change is an error.

    Raises:
        UsageError: the file cannot be read, a column is missing, or a cell does not fit.
        MissingExtraError: pandas is not installed.
    """
    # Else pandas would make numbers of postal codes, and drop their leading zeros.
    texts: Any = {spec.name: str for spec in signature.inputs if spec.dtype == "str"}
    try:
        table = open_table(path, texts)
    except UNREADABLE as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise UsageError(f"{path} cannot be read: {reason}.") from exc
    return _columns(table, path, signature)


def _columns(table: Any, path: Path, signature: Signature) -> dict[str, Array]:
    """Return a column for each input, or all columns as the features of one input."""
    specs = signature.inputs
    names = [str(name) for name in table.columns]
    missing = [spec.name for spec in specs if spec.name not in names]
    if not missing:
        warn_of_ignored(names, [spec.name for spec in specs])
        return {spec.name: _column(table[spec.name], spec, path) for spec in specs}
    features = specs[0].shape[-1] if specs[0].shape else None
    if len(specs) == 1 and (features == len(names) or isinstance(features, str)):
        return {specs[0].name: _cast(table.to_numpy(), specs[0], path)}
    wanted = f"expected {features} columns"
    if len(specs) > 1:
        wanted = f"expected {', '.join(spec.name for spec in specs)}; missing: {', '.join(missing)}"
    raise UsageError(f"{path} has the columns {', '.join(names)}; {wanted}.")


def _column(series: Any, spec: TensorSpec, path: Path) -> Array:
    """Return one column as the rows of an input: ``[n]`` or ``[n, 1]``, by the signature."""
    values = read_texts(series) if spec.dtype == "str" else series.to_numpy()
    return as_rows(_cast(values, spec, path), spec)


def _cast(values: Array, spec: TensorSpec, path: Path) -> Array:
    """Return the values of a table in the input's dtype, if this does not change them."""
    if spec.dtype == "str":
        return np.array([str(item) for item in values.flat], object).reshape(values.shape)
    try:
        with np.errstate(over="raise"):
            cast = values.astype(spec.numpy_dtype)
        exact = spec.dtype.startswith("float") or np.array_equal(cast, values)
    except (TypeError, ValueError, ArithmeticError) as exc:
        raise UsageError(f"{path}: {spec.name!r} is {spec}, but {exc}.") from exc
    if not exact:
        raise UsageError(f"{path}: {spec.name!r} is {spec}, but a cell is not such a number.")
    return cast
