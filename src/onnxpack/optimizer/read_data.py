"""Read the rows of ``--data``: pictures, arrays, a table, or the result of the user's function."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnxpack.errors import FeedError, OnnxpackError, UsageError
from onnxpack.exporters.target.attribute import load_attribute
from onnxpack.optimizer.data import MAX_BYTES, Rows, bind_rows, check_size
from onnxpack.pack.manifest import Preprocess
from onnxpack.runtime.picture import SUFFIXES, read_picture
from onnxpack.runtime.tables import TABLES, read_table
from onnxpack.signature import Array, Signature, TensorSpec

_REMEDY = "--data photos/, --data rows.npz, --data rows.csv, or --data data.py:rows"


def read_rows(
    data: str | Mapping[str, object], signature: Signature, preprocess: Preprocess | None
) -> Rows:
    """Read the rows that a text names, see :func:`read_data`, or take arrays by input.

    Raises:
        UsageError: the rows cannot be read, or do not fit.
    """
    if isinstance(data, str):
        return read_data(data, signature, preprocess=preprocess)
    arrays = {name: np.asarray(value) for name, value in data.items()}
    return bind_rows(arrays, signature, "the data")


def read_data(text: str, signature: Signature, *, preprocess: Preprocess | None = None) -> Rows:
    """Read the rows that ``text`` names.

    Args:
        text: a folder of pictures, which is searched recursively; ``.npz`` with an array for each
            input by name; ``.npy``, for a model with one input; ``.csv`` or ``.parquet``, whose
            columns are inputs, or the features of one input; ``module:fn`` or ``file.py:fn``, which
            returns or yields a dict of arrays, or an array for a model with one input.
        signature: signature that the rows must fit.
        preprocess: how a picture is converted to the input.

    Raises:
        UsageError: the data cannot be read, does not fit, is empty, constant or too large.
        MissingExtraError: a table needs pandas.
    """
    path = Path(text)
    suffix = path.suffix.lower()
    if path.is_dir():
        return _read_folder(path, signature, preprocess)
    if suffix in (".npz", ".npy", *TABLES):
        if not path.is_file():
            raise UsageError(f"the file {text} does not exist.", remedy=_REMEDY)
        if suffix in TABLES and path.stat().st_size > MAX_BYTES:
            check_size(path.stat().st_size, text, 1)
        read = {".npz": _read_npz, ".npy": _read_npy}.get(suffix, read_table)
        return bind_rows(read(path, signature), signature, text)
    if ":" in text:
        return bind_rows(_call(text, signature), signature, text)
    raise UsageError(
        f"{text!r} is not a folder, .npz, .npy, .csv, .parquet or module:fn.", remedy=_REMEDY
    )


def _read_folder(folder: Path, signature: Signature, preprocess: Preprocess | None) -> Rows:
    spec = _only_input(signature, f"the pictures of {folder}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise UsageError(f"{folder} has no pictures, expected {', '.join(SUFFIXES)}.")
    pictures: list[Array] = []
    unreadable: list[OnnxpackError] = []
    for path in paths:
        try:
            pictures.append(read_picture(path, spec, preprocess))
        except FeedError as exc:
            unreadable.append(exc)
            continue
        check_size(pictures[0].nbytes * len(paths), str(folder), len(paths))
    if unreadable:
        more = f" {len(unreadable) - 1} more cannot be read." if len(unreadable) > 1 else ""
        raise UsageError(f"{unreadable[0].message}{more}", remedy=f"find {folder} -type f")
    return bind_rows({spec.name: _joined(pictures, str(folder))}, signature, str(folder))


def _joined(parts: list[Array], source: str) -> Array:
    shapes = sorted({part.shape[1:] for part in parts})
    if len(shapes) > 1:
        raise UsageError(
            f"{source}: rows have different shapes, such as {list(shapes[0])} and "
            f"{list(shapes[-1])}, expected one.",
            remedy="export with preprocess=onnxpack.Preprocess(resize=…, crop=…)",
        )
    return np.concatenate(parts)


def _read_npz(path: Path, _: Signature) -> dict[str, Array]:
    try:
        # An archive can unpack to far more than its size on disk.
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise UsageError(
                f"{path} takes {size / 2**30:.1f} GiB in memory, "
                f"expected at most {MAX_BYTES / 2**30:.0f} GiB."
            )
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as exc:
        raise _unreadable(path, exc) from exc


def _read_npy(path: Path, signature: Signature) -> dict[str, Array]:
    spec = _only_input(signature, str(path))
    try:
        mapped = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as exc:
        raise _unreadable(path, exc) from exc
    check_size(mapped.nbytes, str(path), len(mapped) if mapped.ndim else 1)
    return {spec.name: np.array(mapped)}


def _call(text: str, signature: Signature) -> dict[str, Array]:
    """Return the rows of the user's function, which gives batches or single rows.

    Each is a dict of arrays, or an array for a model with one input. A single row has no batch
    axis.
    """
    found = load_attribute(text)
    try:
        given = found() if callable(found) and not hasattr(found, "__array__") else found
        batches = [given] if isinstance(given, Mapping) or hasattr(given, "__array__") else given
        parts: dict[str, list[Array]] = {}
        size = 0
        for batch in _each(batches, text):
            for name, array in _named(batch, signature, text).items():
                parts.setdefault(name, []).append(array)
                size += array.nbytes
            check_size(size, text, sum(len(part) for part in next(iter(parts.values()))))
    except OnnxpackError:
        raise
    except (Exception, SystemExit) as exc:
        raise UsageError(f"{text} failed: {type(exc).__name__}: {exc}.") from exc
    if not parts:
        raise UsageError(f"{text} returned no rows.")
    return {name: _joined(arrays, f"{text}: {name}") for name, arrays in parts.items()}


def _each(batches: Any, text: str) -> Iterable[Any]:
    if not isinstance(batches, Iterable) or isinstance(batches, str | bytes):
        raise UsageError(
            f"{text} returned a {type(batches).__name__}, expected a dict of arrays, an array, "
            "or several of them."
        )
    return batches


def _named(batch: Any, signature: Signature, text: str) -> dict[str, Array]:
    if not isinstance(batch, Mapping):
        batch = {_only_input(signature, text).name: batch}
    arrays = {str(name): np.asarray(value) for name, value in batch.items()}
    ranks = {spec.name: len(spec.shape) for spec in signature.inputs if spec.shape}
    if all(array.ndim == ranks.get(name, 0) - 1 for name, array in arrays.items()):
        arrays = {name: array[np.newaxis] for name, array in arrays.items()}
    for name, array in arrays.items():
        if not array.ndim:
            raise UsageError(f"{text}: {name!r} is one number, expected rows along an axis.")
    return {n: a.astype(object) if a.dtype.kind == "U" else a for n, a in arrays.items()}


def _only_input(signature: Signature, what: str) -> TensorSpec:
    if len(signature.inputs) != 1:
        names = ", ".join(spec.name for spec in signature.inputs)
        raise UsageError(
            f"{what} fill only one input, but the model takes {names}.", remedy=_REMEDY
        )
    return signature.inputs[0]


def _unreadable(path: Path, exc: Exception) -> UsageError:
    reason = getattr(exc, "strerror", None) or exc
    return UsageError(f"{path} cannot be read: {reason}.")
