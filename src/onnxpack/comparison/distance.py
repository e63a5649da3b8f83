"""How far one answer is from another, as a single number."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from onnxpack.signature import Array


class Apart(NamedTuple):
    """How far an answer is from the one that was expected.

    Attributes:
        distance: the Euclidean length of the difference over that of the expected answer. Of
            texts, the share that differs. Infinite where the shapes differ, or where one of the
            two has NaN or infinity and the other has not.
        labels: how many rows have the same largest element along the last axis.
    """

    distance: float
    labels: int


def measure_distance(expected: Array, actual: Array) -> Apart:
    """Measure how far ``actual`` is from ``expected``."""
    if expected.shape != actual.shape:
        return Apart(float("inf"), 0)
    if expected.dtype.kind in "OUS":
        same = np.asarray(expected == actual)
        share = 1.0 - float(same.mean()) if same.size else 0.0
        return Apart(share, int(np.count_nonzero(_each_row(same))))
    wanted: Array = np.asarray(expected, dtype=_wide(expected))
    found: Array = np.asarray(actual, dtype=_wide(actual))
    return Apart(_length_ratio(wanted, found), _same_labels(wanted, found))


def _wide(array: Array) -> type:
    return np.complex128 if array.dtype.kind == "c" else np.float64


def _length_ratio(wanted: Array, found: Array) -> float:
    usual = np.isfinite(wanted)
    if not np.array_equal(wanted[~usual], found[~usual], equal_nan=True):
        return float("inf")
    # Divided by the largest element first: the square of a large number is infinite.
    size = float(np.abs(wanted[usual]).max(initial=0.0))
    with np.errstate(all="ignore"):
        gap = float(np.linalg.norm(((found[usual] - wanted[usual]) / (size or 1.0)).ravel()))
        length = float(np.linalg.norm((wanted[usual] / (size or 1.0)).ravel()))
        if not np.isfinite(gap):
            return float("inf")
    return gap / length if length else (float("inf") if gap else 0.0)


def _same_labels(wanted: Array, found: Array) -> int:
    """Count the rows whose largest element along the last axis is the same.

    A row is a slice along the last axis; an array of one axis or none has one number a row.
    """
    if wanted.ndim < 2:
        same = (wanted == found) | (np.isnan(wanted) & np.isnan(found))
        return int(np.count_nonzero(same))
    if not wanted.size:
        return 0
    both = _largest(wanted), _largest(found)
    return int(np.count_nonzero(both[0] == both[1]))


def _largest(array: Array) -> Array:
    return np.asarray(np.argmax(array.real if array.dtype.kind == "c" else array, axis=-1))


def _each_row(same: Array) -> Array:
    return same if same.ndim < 2 else np.asarray(same.all(axis=-1))
