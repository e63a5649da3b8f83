"""Rows by column name: JSON objects, JSON columns, or CSV, for models with an input a column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from onnxpack.runtime.frames import MISSING_TEXT, as_rows
from onnxpack.server.errors import bad_request
from onnxpack.signature import Array, Signature, TensorSpec

CSV = "text/csv"


class Records(NamedTuple):
    """The input arrays, and the columns that no input takes."""

    feeds: dict[str, Array]
    ignored: tuple[str, ...] = ()


def has_columns(signature: Signature) -> bool:
    """Return whether each input is one column: ``[batch]`` or ``[batch, 1]``."""
    return all(
        spec.shape is not None and (len(spec.shape) == 1 or spec.shape[1:] == (1,))
        for spec in signature.inputs
    )


def read_objects(rows: Sequence[Any], signature: Signature) -> Records:
    """Return the inputs from a list of JSON objects, one a row; the order of keys is free.

    Raises:
        RequestError: 400, an element is not an object, lacks a column, or has a value that the
            input cannot hold.
    """
    wanted = [spec.name for spec in signature.inputs]
    ignored: dict[str, None] = {}
    for at, row in enumerate(rows):
        if not isinstance(row, dict):
            raise bad_request(f"row {at} is a {type(row).__name__}, expected an object")
        missing = [name for name in wanted if name not in row]
        if missing:
            raise bad_request(
                f"row {at} has no {missing[0]!r}; expected the columns {', '.join(wanted)}"
            )
        ignored.update(dict.fromkeys(name for name in row if name not in wanted))
    columns = {name: [row[name] for row in rows] for name in wanted}
    return Records(_arrays(columns, signature), tuple(ignored))


def read_columns(columns: Mapping[str, Any], signature: Signature) -> Records:
    """Return the inputs from one JSON object with a list of values for each column.

    Raises:
        RequestError: 400, a column is missing, is not a list, is of another length, or has a value
            that the input cannot hold.
    """
    wanted = [spec.name for spec in signature.inputs]
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise bad_request(
            f"there is no column {missing[0]!r}; expected the columns {', '.join(wanted)}"
        )
    lists = {name: columns[name] for name in wanted}
    other = next((name for name, each in lists.items() if not isinstance(each, list)), None)
    if other is not None:
        raise bad_request(f"column {other!r} is a {type(lists[other]).__name__}, expected a list")
    lengths = {name: len(each) for name, each in lists.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise bad_request(f"the columns have different lengths: {found}")
    return Records(_arrays(lists, signature), tuple(name for name in columns if name not in wanted))


def read_csv(body: bytes, signature: Signature) -> Records:
    """Return the inputs from CSV with a header; an empty cell is a missing value.

    Raises:
        RequestError: 400, the body is not UTF-8 or not a table, a column is missing or occurs
            twice, or a cell is not a value of its input.
    """
    try:
        reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        head, *rows = [row for row in reader if row]
    except (UnicodeDecodeError, csv.Error, ValueError) as exc:
        raise bad_request(f"the body is not CSV with a header in UTF-8: {exc}") from exc
    wanted = {spec.name: spec for spec in signature.inputs}
    twice = next((name for name in wanted if head.count(name) > 1), None)
    if twice is not None:
        raise bad_request(f"the header has {head.count(twice)} columns named {twice!r}")
    for at, row in enumerate(rows):
        if len(row) != len(head):
            raise bad_request(f"row {at} has {len(row)} cells, expected {len(head)}")
    columns = {
        name: [_cell(row[place], wanted[name]) for row in rows]
        for place, name in enumerate(head)
        if name in wanted
    }
    if not rows:
        raise bad_request("the body has a header and no rows")
    return read_columns({**dict.fromkeys(head), **columns}, signature)


def _arrays(columns: Mapping[str, list[Any]], signature: Signature) -> dict[str, Array]:
    return {spec.name: as_rows(_array(columns[spec.name], spec), spec) for spec in signature.inputs}


def _array(values: list[Any], spec: TensorSpec) -> Array:
    wrong = next((at for at, value in enumerate(values) if not _fits(value, spec)), None)
    if wrong is not None:
        raise bad_request(
            f"row {wrong}: {spec.name!r} is {str(values[wrong])[:40]!r}, expected {_words(spec)}"
        )
    if spec.dtype == "str":
        return np.array([MISSING_TEXT if each is None else each for each in values], object)
    given = [math.nan if each is None else each for each in values]
    with np.errstate(over="ignore"):
        found = np.array(given, np.float64 if _is_float(spec) else spec.numpy_dtype)
        return found.astype(spec.numpy_dtype)


def _fits(value: Any, spec: TensorSpec) -> bool:
    """Return whether an input can hold a value of JSON; only texts and floats can be missing."""
    if spec.dtype == "str":
        return value is None or isinstance(value, str)
    if spec.dtype == "bool":
        return isinstance(value, bool)
    if _is_float(spec):
        if value is None:
            return True
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return abs(value) <= float(np.finfo(spec.numpy_dtype).max) or math.isnan(value)
    bounds = np.iinfo(spec.numpy_dtype)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return is_integer and bounds.min <= value <= bounds.max


def _cell(text: str, spec: TensorSpec) -> Any:
    """Return a cell as the value of JSON that it stands for; a text that is none stays a text."""
    if spec.dtype == "str":
        return text or None
    if spec.dtype == "bool":
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if not text.strip():
        return None
    if "_" in text:  # Python's own notation, 1_000
        return text
    try:
        return float(text) if _is_float(spec) else int(text)
    except ValueError:
        return text


def _is_float(spec: TensorSpec) -> bool:
    return spec.dtype in ("float16", "float32", "float64")


def _words(spec: TensorSpec) -> str:
    if spec.dtype == "str":
        return "a text"
    return {"bool": "true or false"}.get(spec.dtype, f"a number of {spec.dtype}")
