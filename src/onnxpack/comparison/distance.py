"""How far answers lie from others that they only resemble.

A graph in int8 or bfloat16 never lies within a tolerance meant for float32. What is measured is how
much of an output's length is lost, and how often its largest element stays where it was.
"""

from __future__ import annotations

import sys

import numpy as np

from onnxpack.signature import Array

INFINITE = sys.float_info.max
"""Evidence is written as JSON, which has no infinity."""


def distance(expected: Array, actual: Array) -> float:
    """Return the Euclidean length of the difference over that of what was expected.

    Arrays of other shapes, and NaN or infinity in other places, are as far apart as can be. Where
    all of ``expected`` is 0, so is the distance only if all of ``actual`` is too. Of strings, it is
    the share that differs.
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

    A row of fewer than two elements has no label, and nor has one of another shape.
    """
    if expected.shape != actual.shape or expected.ndim == 0 or expected.shape[-1] < 2:
        return 0
    if expected.dtype.kind not in "fiu" or not expected.size:
        return 0
    return int(np.count_nonzero(expected.argmax(axis=-1) == actual.argmax(axis=-1)))
