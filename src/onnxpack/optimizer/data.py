"""The rows of ``--data``: some calibrate a graph, and others judge it.

A row is one example that the model predicts: a picture, a sentence, a line of a table. In an array
the rows are along the first axis. If the model's inputs have a batch axis, this is the first axis.
A model without a batch axis takes one row at a time, so the array has one axis more than the input.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from onnxpack.errors import UsageError
from onnxpack.parity.dims import BATCH
from onnxpack.signature import Array, Signature, TensorSpec, describe, dtype_name

MAX_BYTES = 2**31
"""Most bytes of all rows together, which are held in memory."""


@dataclass(frozen=True)
class Rows:
    """Rows that fit a signature.

    Attributes:
        arrays: for each input, the rows along the first axis.
        signature: the model's signature.
        whole: whether each row is a whole input, because the model has no batch axis.
        source: where the rows come from, for messages.
    """

    arrays: Mapping[str, Array]
    signature: Signature
    whole: bool
    source: str

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def batch(self) -> int:
        """The number of rows in a feed: the model's fixed batch, else 1."""
        if self.whole:
            return 1
        return max((_fixed_batch(spec) for spec in self.signature.inputs), default=1)

    def digest(self) -> str:
        """Return the sha256 of the content of all rows."""
        found = hashlib.sha256()
        for name, array in self.arrays.items():
            texts = array.dtype.kind in "OU"
            found.update(f"{name} {array.dtype} {array.shape}".encode())
            found.update(repr(array.tolist()).encode() if texts else array.tobytes())
        return found.hexdigest()

    @property
    def any_batch(self) -> bool:
        """Whether a feed may have any number of rows."""
        firsts = [spec.shape[0] for spec in self.signature.inputs if spec.shape]
        return not self.whole and bool(firsts) and len(set(firsts)) == 1 and firsts[0] == BATCH

    def feeds(self, batch: int = 0) -> Iterator[dict[str, Array]]:
        """Yield one feed after the other; with a fixed batch, an incomplete last feed is dropped.

        Args:
            batch: rows of a feed, if :attr:`any_batch`; by default :attr:`batch`.
        """
        count = batch or self.batch
        end = len(self) if batch else len(self) - count + 1
        for start in range(0, end, count):
            part = start if self.whole else slice(start, start + count)
            yield {name: np.asarray(array[part]) for name, array in self.arrays.items()}

    def take(self, indices: Sequence[int] | Array) -> Rows:
        """Return the rows of these indices, in this order."""
        chosen = np.asarray(indices, dtype=np.intp)
        arrays = {name: array[chosen] for name, array in self.arrays.items()}
        return Rows(arrays, self.signature, self.whole, self.source)


class Split(NamedTuple):
    """Rows for calibration, and other rows to judge with; no row is in both.

    Attributes:
        calibration: rows to measure ranges on.
        held_out: rows to judge with.
        duplicates: number of rows that were left out because an equal row came before.
    """

    calibration: Rows
    held_out: Rows
    duplicates: int


def bind_rows(arrays: Mapping[str, Array], signature: Signature, source: str) -> Rows:
    """Check rows against a signature, and return them.

    Raises:
        UsageError: an input is missing or unknown, a dtype or size differs, there are 0 rows, or
            all rows are the same.
    """
    wanted = {spec.name: spec for spec in signature.inputs}
    _check_names(arrays, wanted, source)
    whole = _is_whole(arrays, wanted, source)
    size = sum(array.nbytes for array in arrays.values())
    check_size(size, source, len(next(iter(arrays.values()))))
    dims: dict[str, int] = {}
    for name, spec in wanted.items():
        _check_row(arrays[name], spec, dims, whole=whole, source=source)
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise UsageError(f"{source}: inputs have different numbers of rows: {listed}.")
    ordered = {name: _native(arrays[name]) for name in wanted}
    rows = Rows(ordered, signature, whole, source)
    _check_content(rows)
    return rows


def check_size(size: int, source: str, count: int) -> None:
    """Check that rows fit into memory.

    Raises:
        UsageError: the rows have more than ``MAX_BYTES`` bytes.
    """
    if size > MAX_BYTES:
        fitting = count * MAX_BYTES // size
        raise UsageError(
            f"{source} has {count} rows of {size / 2**30:.1f} GiB in memory, expected at most "
            f"{MAX_BYTES / 2**30:.0f} GiB: at most {fitting} such rows."
        )


def split(rows: Rows, *, calibration: int, seed: int = 0) -> Split:
    """Split rows at random into rows that calibrate and rows that judge.

    Of rows with equal content, only the first is used. Otherwise a row could calibrate a graph and
    also judge it, and copies of one row would count as several observations.

    Args:
        rows: the rows to split.
        calibration: number of rows to calibrate with; fewer are used if less than half of the rows
            would remain to judge.
        seed: seed of the random order; the same seed gives the same split.

    Raises:
        UsageError: there are fewer than 2 different rows.
    """
    first = _distinct(rows)
    if len(first) < 2 * rows.batch:
        raise UsageError(
            f"{rows.source} has {len(first)} different rows, expected at least "
            f"{2 * rows.batch}: some for calibration and the others for evaluation."
        )
    order = np.random.default_rng(seed).permutation(first)
    # Only whole feeds, for a model with a fixed batch.
    count = min(max(calibration, 0), len(order) // 2)
    count -= count % rows.batch if calibration else 0
    return Split(
        calibration=rows.take(np.sort(order[:count])),
        held_out=rows.take(np.sort(order[count:])),
        duplicates=len(rows) - len(first),
    )


def _fixed_batch(spec: TensorSpec) -> int:
    first = spec.shape[0] if spec.shape else 1
    return first if isinstance(first, int) else 1


def _check_names(
    arrays: Mapping[str, Array], wanted: Mapping[str, TensorSpec], source: str
) -> None:
    if arrays.keys() != wanted.keys():
        raise UsageError(
            f"{source} contains {', '.join(sorted(arrays)) or 'nothing'}, expected the inputs "
            f"{', '.join(wanted)}."
        )


def _is_whole(arrays: Mapping[str, Array], wanted: Mapping[str, TensorSpec], source: str) -> bool:
    """Return whether every array has one axis more than its input.

    Raises:
        UsageError: the numbers of axes fit neither case.
    """
    extra = set()
    for name, spec in wanted.items():
        rank = 0 if spec.shape is None else len(spec.shape)
        more = arrays[name].ndim - rank if spec.shape is not None else 0
        if more not in (0, 1) or arrays[name].ndim == 0:
            raise _unfit(arrays[name], spec, source)
        extra.add(more)
    if len(extra) > 1:
        raise UsageError(
            f"{source}: some inputs have their rows along the batch axis and others along an "
            "extra axis; expected "
            f"{', '.join(f'{name}: {spec}' for name, spec in wanted.items())}, with rows along "
            "the first axis."
        )
    return extra == {1}


def _check_row(
    array: Array, spec: TensorSpec, dims: dict[str, int], *, whole: bool, source: str
) -> None:
    text = array.dtype.kind in "OU"
    same = dtype_name(array.dtype) == spec.dtype
    if not same or (text and not all(isinstance(item, str) for item in array.flat)):
        raise _unfit(array, spec, source)
    if spec.shape is None:
        return
    shape = spec.shape if whole else spec.shape[1:]
    inner = TensorSpec(spec.name, spec.dtype, shape)
    if not inner.fits(array.shape[1:], dims):
        raise _unfit(array, spec, source)


def _unfit(array: Array, spec: TensorSpec, source: str) -> UsageError:
    found = describe(dtype_name(array.dtype), array.shape)
    return UsageError(
        f"{source}: the rows of {spec.name!r} are {found}, expected {spec}, with rows along the "
        "first axis.",
    )


def _native(array: Array) -> Array:
    """Return an array in the form for onnxruntime: native byte order, text as objects."""
    wanted = np.dtype(object) if array.dtype.kind == "U" else array.dtype.newbyteorder("=")
    return np.ascontiguousarray(array, dtype=wanted)


def _check_content(rows: Rows) -> None:
    """Raise an error for rows without information: none at all, or all the same."""
    count = len(rows)
    if not count:
        raise UsageError(f"{rows.source} has no rows, expected at least 2.")
    if count < rows.batch:
        raise UsageError(
            f"{rows.source} has {count} rows, expected at least {rows.batch}: the model's batch "
            "is fixed."
        )
    if all(_is_constant(array) for array in rows.arrays.values()):
        raise UsageError(
            f"{rows.source} has the same values in all {count} rows: ranges and answers "
            "measured on them say nothing."
        )


def _is_constant(array: Array) -> bool:
    if not array.size:
        return True
    first = array.flat[0]
    # NaN means a missing value in tables, and differs from itself.
    return bool((array != array).all() if first != first else (array == first).all())


def _distinct(rows: Rows) -> list[int]:
    """Return the index of the first row of each different content."""
    seen: dict[bytes, int] = {}
    for index in range(len(rows)):
        digest = hashlib.sha256()
        for array in rows.arrays.values():
            row = np.asarray(array[index])
            texts = row.dtype.kind in "OU"
            digest.update(repr(row.tolist()).encode() if texts else row.tobytes())
        seen.setdefault(digest.digest(), index)
    return list(seen.values())
