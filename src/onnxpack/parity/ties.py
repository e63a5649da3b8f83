"""Make inputs at which comparisons, roundings and choices of the largest value are ambiguous.

They are tried as edges of a model: a user may accept that a graph differs there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from onnxpack.parity.masks import masked_rows
from onnxpack.parity.stress import changed, hold_boxes, with_picture_numbers
from onnxpack.signature import Array

ZEROS = "zeros of both signs"
SCATTERED = "zeros among the values"
HALVES = "rounded to halves"
INFINITE_VALUES = "infinities"
EQUAL = ("constant", "equal rows", "one-hot rows")
"""Names of the cases of equal values; the variance of equal values is nothing but rounding."""
SHARE = 0.2
"""Share of the numbers that are made infinite."""

Edges = Iterator[tuple[str, Mapping[str, Array]]]


def hard_values(sample: Mapping[str, Array]) -> Edges:
    """Yield round floating-point values, integers of both signs, and masks with extreme rows."""
    yield from round_values(sample)
    yield from equal_values(sample)
    yield from signed_integers(sample)
    yield from masked_rows(sample)


def round_values(sample: Mapping[str, Array]) -> Edges:
    """Yield zeros of both signs, everywhere and scattered; then ties, by rounding to halves."""
    floats = [name for name, array in sample.items() if array.dtype.kind == "f"]
    if not floats:
        return
    yield SCATTERED, _scattered_zeros(sample, floats)
    yield ZEROS, _of_kind("f", sample, _zeros)
    yield HALVES, _of_kind("f", sample, _halves)


def equal_values(sample: Mapping[str, Array]) -> Edges:
    """Yield one number everywhere, rows that are all equal, and one-hot rows."""
    if any(array.dtype.kind == "f" and array.size for array in sample.values()):
        changes = (_constant, _equal_rows, _one_hot)
        yield from (
            (name, changed(sample, made)) for name, made in zip(EQUAL, changes, strict=True)
        )


def signed_integers(sample: Mapping[str, Array]) -> Edges:
    """Yield integers negated, and centred on zero, where division and remainders differ.

    Inputs of only zeros and ones stay: they are masks or classes. Each input is also negated by
    itself, since a model often takes indices, which it refuses below zero, beside numbers, which it
    does not.
    """
    signed = [name for name, array in sample.items() if _is_number(array)]
    if not signed:
        return
    yield "integers negated", {**sample, **{name: -sample[name] for name in signed}}
    yield "integers across zero", {**sample, **{name: _centred(sample[name]) for name in signed}}
    for name in signed if len(signed) > 1 else ():
        yield f"{name} negated", {**sample, name: -sample[name]}


def infinities(sample: Mapping[str, Array]) -> Edges:
    """Yield the inputs with infinities of both signs among their numbers."""
    random = np.random.default_rng(0)

    def changed(array: Array) -> Array:
        found = array.copy()
        places = random.random(array.shape) < SHARE
        found[places] = np.where(random.random(array.shape) < 0.5, -np.inf, np.inf)[places]
        return found

    if any(array.dtype.kind == "f" for array in sample.values()):
        yield INFINITE_VALUES, _of_kind("f", sample, changed)


def _of_kind(
    kind: str, sample: Mapping[str, Array], change: Callable[[Array], Array]
) -> dict[str, Array]:
    found = {
        name: np.asarray(change(array)).astype(array.dtype) if array.dtype.kind == kind else array
        for name, array in sample.items()
    }
    return with_picture_numbers(found, sample, hold_boxes(sample))


def _zeros(array: Array) -> Array:
    return np.asarray(np.copysign(0, array))


def _scattered_zeros(sample: Mapping[str, Array], floats: list[str]) -> dict[str, Array]:
    """Put zeros in every second place of the first input, every second pair of the next, and so on.

    So each input is zero where another is not, which tests ``angle`` and ``atan2``.
    """
    feeds = dict(sample)
    for number, name in enumerate(floats):
        array = sample[name]
        places = (np.arange(array.size) >> number) % 2 == 1
        feeds[name] = np.where(places.reshape(array.shape), _zeros(array), array)
    return feeds


def _is_number(array: Array) -> bool:
    return bool(array.dtype.kind == "i" and array.size and (np.abs(array) > 1).any())


def _centred(array: Array) -> Array:
    low, high = int(array.min()), int(array.max())
    return (array - (low + high) // 2).astype(array.dtype)


def _halves(array: Array) -> Array:
    spread = float(np.abs(array).max(initial=0.0, where=np.isfinite(array)))
    factor = np.asarray(1.0 if spread > 1 else 4.0, array.dtype)
    halves: Array = (np.round(array * factor * 2) / 2).astype(array.dtype)
    return halves


def _constant(array: Array) -> Array:
    return np.full_like(array, array.flat[0])


def _equal_rows(array: Array) -> Array:
    return np.broadcast_to(array[:1], array.shape).copy() if array.ndim else array


def _one_hot(array: Array) -> Array:
    """Return rows with a single one each, at the next place in each row."""
    found = np.zeros_like(array)
    if array.ndim:
        rows = found.reshape(-1, array.shape[-1])
        rows[np.arange(len(rows)), np.arange(len(rows)) % array.shape[-1]] = 1
    return found
