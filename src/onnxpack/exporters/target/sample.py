"""Read SPEC on the command line, which describes one input of a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from onnxpack.errors import SampleError
from onnxpack.exporters.target.attribute import load_attribute
from onnxpack.runtime.picture import SUFFIXES
from onnxpack.signature import Array
from onnxpack.zipped import check_zip

INTEGERS_BELOW = 10
"""Bound of random integers: they are often indices, and every table has at least a few rows."""
MAX_ELEMENTS = 2**30

_NAMED = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<spec>.+)")
_SHAPE = re.compile(r"(?:(?P<dtype>[a-z]+\d*)\[(?P<listed>[\d\s,]*)\]|(?P<crossed>\d+(?:x\d+)*))")
_TABLES = {".csv", ".parquet"}


def read_sample(specs: Sequence[str]) -> Any:
    """Return the sample that these SPECs describe, in a form for :func:`onnxpack.export`.

    Args:
        specs: for each input ``1x3x224x224`` (random float32), ``int64[1,128]`` (random, of this
            dtype), ``x.npy``, a picture, or ``module:attr`` (a value, or a function that returns
            one), each with ``name=`` before it if the model's inputs have names; or one ``.npz``,
            whose entries are named inputs; or one table, ``rows.csv`` or ``rows.parquet``, whose
            columns are the inputs.

    Raises:
        SampleError: a SPEC is not understood or its file cannot be read.
    """
    named: dict[str, Any] = {}
    plain: list[Any] = []
    for index, spec in enumerate(specs):
        match = _NAMED.fullmatch(spec)
        if match:
            named[match["name"]] = _read(match["spec"], seed=index)
        else:
            plain.append(_read(spec, seed=index))
    if named and plain:
        raise SampleError(
            "some inputs are named and others are not.", remedy="name all of them: --sample x=1x3"
        )
    if named:
        return named
    return plain[0] if len(plain) == 1 else tuple(plain)


def _read(spec: str, *, seed: int) -> Any:
    shape = _SHAPE.fullmatch(spec)
    if shape:
        return _random(spec, shape, np.random.default_rng(seed))
    suffix = Path(spec).suffix.lower()
    if suffix in (".npy", ".npz"):
        return _read_numpy(Path(spec))
    if suffix in _TABLES:
        return _read_table(Path(spec))
    if suffix in SUFFIXES:
        return _read_picture(Path(spec))
    if ":" in spec:
        return _called(load_attribute(spec), spec)
    raise SampleError(
        f"{spec!r} is not a sample.",
        remedy="--sample 1x3x224x224, ids=int64[1,128], x.npy, x.npz, rows.csv, rows.parquet, "
        "picture.jpg or module:attr",
    )


def _called(found: Any, spec: str) -> Any:
    if not callable(found) or hasattr(found, "__array__"):
        return found
    try:
        return found()
    except (Exception, SystemExit) as exc:
        raise SampleError(f"calling {spec} failed: {type(exc).__name__}: {exc}") from exc


def _random(spec: str, match: re.Match[str], random: np.random.Generator) -> Array:
    text = match["crossed"] or match["listed"]
    shape = [int(size) for size in re.findall(r"\d+", text)]
    if np.prod(shape, dtype=object) > MAX_ELEMENTS:
        raise SampleError(f"{spec} has more than {MAX_ELEMENTS} elements.")
    try:
        dtype = np.dtype(match["dtype"] or "float32")
    except TypeError as exc:
        raise SampleError(f"{spec} does not name a NumPy dtype: {exc}.") from exc
    if dtype.kind in "iu":
        return random.integers(0, INTEGERS_BELOW, shape).astype(dtype)
    if dtype.kind == "b":
        return np.ones(shape, dtype)
    if dtype.kind != "f":
        raise SampleError(f"no random {dtype} can be generated.", remedy="--sample x=file.npy")
    return random.standard_normal(shape).astype(dtype)


def _read_numpy(path: Path) -> Any:
    check_zip(path, error=SampleError)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return dict(loaded)
    except (OSError, ValueError, EOFError, MemoryError, BadZipFile) as exc:
        raise SampleError(f"{path} cannot be read as arrays: {exc}.") from exc


def _read_table(path: Path) -> Any:
    """Return a data frame with the dtypes that pandas infers."""
    from onnxpack.runtime.tables import UNREADABLE, open_table

    try:
        return open_table(path)
    except UNREADABLE as exc:
        raise SampleError(f"{path} cannot be read as a table: {exc}.") from exc


def _read_picture(path: Path) -> Array:
    from onnxpack.runtime.picture import read_picture
    from onnxpack.signature import TensorSpec

    return read_picture(path, TensorSpec(path.name, "float32", (1, 3, "height", "width")), None)
