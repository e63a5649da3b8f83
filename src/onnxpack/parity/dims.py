"""Choose the sizes at which each dynamic dim is tried.

A graph can be wrong at a single size: at one, where PyTorch's exporters specialise; where a length
does not divide into equal parts; far from the sample, where a condition on the size changes. So
each dim takes small sizes, primes, neighbours of powers of two, and sizes far above the sample's.

The choice must not depend on the clock, or the same model would get other cases on another day. So
every case has a cost, counted in elements: those of its inputs, times what the model's weights
suggest. The minimum is always included; the rest only while it fits into ``BUDGET``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

from onnxpack.signature import Array

Axes = Mapping[str, Mapping[int, str]]
"""Names of the dynamic axes of each input, by axis."""
Dims = dict[str, int]

BATCH = "batch"
BATCH_SIZES = (1, 2, 3, 5)
"""Batch sizes that are always tried: one, two, primes, and one above most samples."""
SMALL = (1, 2, 3)
"""Sizes at which every other dim is always tried, in addition to three around the sample's own."""
FURTHER = (7, 17, 31, 33)
"""Further sizes to try: primes and neighbours of powers of two."""
RESCALED = (26, 84, 70, 95, 49)
"""Lengths that ``interpolate(size=…)`` brings to usual sizes by factors which float32 rounds.

Of the 100 smallest lengths these five show a difference at each of 40 usual sizes from 5 to 640,
if an index is divided by the rounded factor and not multiplied by its inverse.
"""
EQUAL = 4
"""A size that all dims take at once: a graph that was made at different sizes may confuse equal
ones."""
BUDGET = 2**18
"""The cost of all cases beyond the minimum. A small text model reaches it after about 250 rows of a
thousand values; a single picture of 224 × 224 pixels exceeds it."""
WEIGHTS = 2**20
"""This many weights double the cost of an element."""


def sizes(feeds: Mapping[str, Array], axes: Axes) -> Dims:
    """Return the size of each dynamic dim in these inputs."""
    return {
        dim: feeds[name].shape[axis] for name, named in axes.items() for axis, dim in named.items()
    }


def cost(sample: Mapping[str, Array], axes: Axes, dims: Mapping[str, int], weights: int) -> int:
    """Return the cost of one case: the elements of its inputs, weighted by the model's size."""
    elements = 0
    for name, array in sample.items():
        count = 1
        for axis, size in enumerate(array.shape):
            count *= dims.get(axes.get(name, {}).get(axis, ""), size)
        elements += count
    return elements * (WEIGHTS + weights) // WEIGHTS


def other_sizes(
    sample: Mapping[str, Array], axes: Axes, *, weights: int, per_size: int
) -> Iterator[Dims]:
    """Yield the sizes of all dynamic dims for each case: the minimum, then what the budget allows.

    Args:
        weights: the number of the model's weights.
        per_size: the additional cost of every new size, in elements.
    """
    own = sizes(sample, axes)
    seen: set[tuple[int, ...]] = set() if BATCH in own else {tuple(own.values())}
    for dims in _minimum(own):
        if _is_new(dims, seen):
            yield dims
    left = BUDGET
    for dims in _beyond(own):
        price = cost(sample, axes, dims, weights) + per_size
        if price <= left and _is_new(dims, seen):
            left -= price
            yield dims


def _is_new(dims: Dims, seen: set[tuple[int, ...]]) -> bool:
    key = tuple(dims.values())
    known = key in seen
    seen.add(key)
    return not known


def _minimum(own: Dims) -> Iterator[Dims]:
    if BATCH in own:
        yield from ({**own, BATCH: size} for size in BATCH_SIZES)
    for dim, size in own.items():
        if dim != BATCH:
            yield from _with_batches(own, dim, (size + 1, 2 * size, size // 2, *SMALL))
    if len(own) > 1:
        yield dict.fromkeys(own, 1)


def _beyond(own: Dims) -> Iterator[Dims]:
    """Yield dims of size one next to large ones, then each dim in turn far from the sample's."""
    if len(own) > 1:
        for dim in own:
            yield {other: 1 if other == dim else 2 * size + 1 for other, size in own.items()}
        yield dict.fromkeys(own, EQUAL)
    turns = [_far(own, dim) for dim in sorted(own, key=lambda dim: dim == BATCH)]
    for together in zip_longest(*turns):
        yield from (dims for dims in together if dims is not None)


def _far(own: Dims, dim: str) -> Iterator[Dims]:
    size = own[dim]
    far = (3 * size + 1, *FURTHER, size + 32, 10 * size)
    if dim == BATCH:
        yield from ({**own, BATCH: other} for other in far)
    else:
        yield from _with_batches(own, dim, (*far, *RESCALED))


def _with_batches(own: Dims, dim: str, others: Iterable[int]) -> Iterator[Dims]:
    """Yield one dim at other sizes, while the batch varies too."""
    fitting = dict.fromkeys(other for other in others if other > 0 and other != own[dim])
    for turn, other in enumerate(fitting):
        batch = {BATCH: (2, 3, 1)[turn % 3]} if BATCH in own else {}
        yield {**own, dim: other, **batch}
