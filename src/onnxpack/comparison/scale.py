"""Measure how large the elements around an element typically are.

An element that is the difference of larger numbers carries their rounding error, so it is judged by
its neighbours as well as by itself. The neighbours are those of each slice of the output that the
element lies in: its row, its column, its channel, and the whole. The smallest result of all slices
that are large enough is used.

In a slice, the distinct magnitudes are divided into groups: a group spans a factor ``SPAN`` from
its smallest member. The typical size is the upper quartile of the element's own group, since the
median of a column of three would often be small by chance. If that group is rare, the element may
be a cancellation, and the next larger group counts.

Large numbers do not make a small one typical: a mask of -1e8 is one magnitude however often it
stands there, so it is always rare; a column of timestamps is a group of its own, and the column
beside it is judged by its own values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from onnxpack.signature import Array

SPAN = 1000.0
"""Factor from the smallest to the largest member of a group. With atol 1e-5, a neighbour of an
element in a group excuses at most 1 % of the group's smallest member."""
LEAST = 3
"""Smallest number of distinct magnitudes in a group: one or two constants show nothing about the
rest."""
FEW = 6
"""Smallest size of a slice that is used; the whole output is always used. The three numbers of a
class in a batch of three are all small by chance in one class of some hundred."""
SHARE = 1 / 16
"""A group is rare if it holds a smaller share of the slice than this. Of 10,000 normal numbers some
hundred are within 1 % of 0."""


@dataclass(frozen=True)
class Surroundings:
    """What is typical around each requested element, in their order.

    Attributes:
        typical: the smallest typical size among the element's slices, or its own magnitude where
            no slice has a group.
        reach: the typical size of the largest group that is reached from the element's own without
            a gap of more than ``SPAN``; the smallest among the slices.
        summit: the typical size of the largest group; the smallest among the slices.
        common: the largest median among the element's slices.
        error: the smallest among the slices of the largest error around the element; 0 where no
            errors were given.
    """

    typical: Array
    reach: Array
    summit: Array
    common: Array
    error: Array


def surroundings(magnitude: Array, places: Array, errors: Array | None = None) -> Surroundings:
    """Measure what is typical around the given elements of an array.

    Args:
        magnitude: the magnitude of each element; 0 where it is not finite.
        places: indices into the flattened array.
        errors: the error that each element may have by itself.
    """
    own = magnitude.reshape(-1)[places]
    spread = np.zeros_like(magnitude) if errors is None else errors
    typical, reach, summit, error = (np.full(len(places), np.inf) for _ in range(4))
    common = own.copy()
    for sizes, wrong, asked in _slices(magnitude, spread, places):
        found = _Slice.of(sizes, wrong, own[asked])
        typical[asked] = np.minimum(typical[asked], found.typical)
        reach[asked] = np.minimum(reach[asked], found.reach)
        summit[asked] = np.minimum(summit[asked], found.summit)
        common[asked] = np.maximum(common[asked], found.common)
        error[asked] = np.minimum(error[asked], found.error)
    alone = np.isinf(typical)
    typical[alone] = reach[alone] = summit[alone] = own[alone]
    error[alone] = spread.reshape(-1)[places][alone]
    return Surroundings(typical, reach, summit, common, error)


def distinct(values: Array) -> Array:
    """Return the distinct values in ascending order.

    ``np.unique`` does the same but imports ``numpy.ma`` (numpy 2.4), which container images leave
    out.
    """
    ordered = np.sort(values, axis=None)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if ordered.size else ordered


def common(magnitude: Array) -> float:
    """Return the lower median of the distinct non-zero magnitudes; 0 if all are 0."""
    return _lower_median(distinct(magnitude[np.isfinite(magnitude) & (magnitude > 0)]))


def largest(array: Array) -> float:
    """Return the largest finite magnitude of an array; 0 for an empty array."""
    finite = array[np.isfinite(array)]
    wide = finite.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    with np.errstate(over="ignore"):
        return min(float(np.abs(wide).max(initial=0.0)), float(np.finfo(np.float64).max))


def _lower_median(ordered: Array) -> float:
    return float(ordered[(len(ordered) - 1) // 2]) if len(ordered) else 0.0


def _slices(magnitude: Array, errors: Array, places: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Yield magnitudes, errors and requested elements of each slice that contains one."""
    if not len(places):
        return
    everyone = np.arange(len(places))
    yield magnitude.reshape(-1), errors.reshape(-1), everyone
    if magnitude.ndim < 2:
        return
    for axis, index in enumerate(np.unravel_index(places, magnitude.shape)):
        sizes = np.moveaxis(magnitude, axis, 0).reshape(magnitude.shape[axis], -1)
        wrong = np.moveaxis(errors, axis, 0).reshape(magnitude.shape[axis], -1)
        if sizes.shape[1] < FEW:
            continue
        order = np.argsort(index, kind="stable")
        cuts = np.flatnonzero(np.diff(index[order])) + 1
        for asked in np.split(everyone[order], cuts):
            at = index[asked[0]]
            yield sizes[at], wrong[at], asked


@dataclass(frozen=True)
class _Slice:
    typical: Array
    reach: Array
    summit: float
    common: float
    error: Array

    @classmethod
    def of(cls, sizes: Array, errors: Array, own: Array) -> _Slice:
        """Return what one slice says about elements of these sizes; infinite if it has no group."""
        different = distinct(sizes[sizes > 0])
        tops, quartiles, reaches = _groups(different)
        place = np.searchsorted(tops, own)
        top = np.append(tops, np.inf)[place]
        worst = np.zeros_like(own)
        if errors.any():  # sorting costs as much as all the rest
            order = np.argsort(sizes, kind="stable")
            last = np.searchsorted(sizes[order], top, side="right") - 1
            worst = np.maximum.accumulate(errors[order])[last]
        return cls(
            typical=np.append(quartiles, np.inf)[place],
            reach=np.append(reaches, np.inf)[place],
            summit=float(quartiles[-1]) if len(quartiles) else np.inf,
            common=_lower_median(different),
            error=np.where(np.isfinite(top), worst, np.inf),
        )


def _groups(different: Array) -> tuple[Array, Array, Array]:
    """Return the groups that are not rare, smallest first.

    The three arrays are the largest member, the upper quartile and the reach of each group.
    """
    least = max(LEAST, SHARE * len(different))
    bottoms: list[float] = []
    tops: list[float] = []
    quartiles: list[float] = []
    start = 0
    while start < len(different):
        with np.errstate(over="ignore"):
            end = int(np.searchsorted(different, SPAN * different[start], side="right"))
        if end - start >= least:
            bottoms.append(different[start])
            tops.append(different[end - 1])
            quartiles.append(different[start + 3 * (end - start) // 4])
        start = end
    reaches = list(quartiles)
    for group in range(len(tops) - 2, -1, -1):
        if bottoms[group + 1] <= SPAN * tops[group]:
            reaches[group] = reaches[group + 1]
    return np.array(tops), np.array(quartiles), np.array(reaches)
