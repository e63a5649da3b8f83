"""Measure how far answers of reduced precision are from the original ones.

A graph in int8 or bfloat16 never fits a tolerance meant for float32. Two things are measured
instead: the relative length of the difference, and how often the largest element stays in its
place.
"""

from __future__ import annotations

import sys

import numpy as np

from onnxpack.signature import Array

INFINITE = sys.float_info.max
"""Returned in place of infinity: evidence is written as JSON, which has no infinity."""


def distance(expected: Array, actual: Array) -> float:
    """Return the Euclidean length of the difference divided by the length of ``expected``.

    Returns ``INFINITE`` if shapes or dtypes differ, or NaN or infinity is in other places. If all
    of ``expected`` is 0, the distance is 0 if all of ``actual`` is 0 too, else ``INFINITE``. For
    strings, returns the share of elements that differ.
    """
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return INFINITE
    if expected.dtype.kind not in "fciub":
        return float(np.mean(expected != actual)) if expected.size else 0.0
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    wanted, found = expected.astype(wide), actual.astype(wide)
    finite = np.isfinite(wanted)
    if not np.array_equal(
        np.where(finite, 0, wanted), np.where(np.isfinite(found), 0, found), equal_nan=True
    ):
        return INFINITE
    wanted, found = wanted[finite], found[finite]
    if np.array_equal(wanted, found):
        return 0.0
    # In units of the largest element, since the square of a large number is infinite.
    unit = np.abs(wanted).max(initial=0.0)
    if unit == 0:
        return INFINITE
    with np.errstate(over="ignore"):
        lost = np.linalg.norm(found / unit - wanted / unit)
        return min(float(lost / np.linalg.norm(wanted / unit)), INFINITE)


def same_labels(expected: Array, actual: Array) -> int:
    """Return how many rows have their largest element at the same place along the last axis.

    Rows of fewer than two elements do not count, nor do arrays of different shapes.
    """
    if expected.shape != actual.shape or expected.ndim == 0 or expected.shape[-1] < 2:
        return 0
    if expected.dtype.kind not in "fiu" or not expected.size:
        return 0
    return int(np.count_nonzero(expected.argmax(axis=-1) == actual.argmax(axis=-1)))
