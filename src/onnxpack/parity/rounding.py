"""Elements of an extreme case that rounding decides.

A sample times 1e4 overflows exponentials, makes a softmax choose one of two near scores, and moves
a sine by whole periods. There two right implementations differ, and so do the framework's own
answers in float32 and in float64. Where these two differ nothing can be said of the graph, and the
element is not compared; everywhere else it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onnxpack.comparison.tolerance import Tolerance
from onnxpack.signature import Array

FACTOR = 8.0
"""A graph may be this many times as far from the framework as float32 is from float64."""
TYPICAL = 0.9
"""The share of elements whose own error is at most the typical one."""

Outputs = Mapping[str, Array]


def without_undecided(
    expected: Outputs, exact: Outputs, actual: Outputs, tolerance: Tolerance
) -> tuple[dict[str, Array], dict[str, str]]:
    """The graph's answer with the undecided elements set to the expected ones.

    Args:
        expected: the framework's answer.
        exact: its answer in float64.
        actual: the graph's answer.

    Returns:
        The answer, and for each output that has undecided elements how many.
    """
    found = dict(actual)
    reasons: dict[str, str] = {}
    for name, wanted in expected.items():
        if name not in exact or wanted.shape != actual[name].shape:
            continue
        open_places = _undecided(wanted, exact[name], actual[name], tolerance.rtol)
        count = int(np.count_nonzero(open_places))
        if count:
            found[name] = np.where(open_places, wanted, actual[name]).astype(actual[name].dtype)
            reasons[name] = (
                f"{count} of {wanted.size} elements were not compared: rounding decides them, "
                "the model itself answers otherwise in float64"
            )
    return found, reasons


def _undecided(wanted: Array, exact: Array, actual: Array, rtol: float) -> Array:
    if exact.shape != wanted.shape:
        return np.ones(wanted.shape, bool)
    if wanted.dtype.kind not in "fc":
        return np.asarray(wanted != exact)
    places = np.asarray(np.isfinite(wanted) != np.isfinite(exact))
    with np.errstate(all="ignore"):
        own = np.abs(wanted.astype(exact.dtype) - exact)
        gap = np.abs(wanted.astype(exact.dtype) - actual)
        beyond = gap > rtol * np.abs(wanted)
    finite = np.isfinite(own)
    if not finite.any():
        return places
    typical = float(np.quantile(own[finite], TYPICAL))
    near = finite & np.isfinite(gap) & (gap <= FACTOR * np.maximum(own, typical))
    return np.asarray(places | (near & beyond))
