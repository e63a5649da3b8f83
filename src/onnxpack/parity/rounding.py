"""Find the elements of an extreme case whose values rounding decides.

A sample times 1e4 overflows exponentials, makes a softmax choose one of two near scores, and moves
a sine by whole periods; the variance of equal numbers is nothing but rounding. In such places two
correct implementations differ, and so do the framework's own answers in float32 and in float64, or
to inputs and with weights that differ in their last bit. Elements in which these answers differ say
nothing about the graph and are not compared. All others are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from onnxpack.comparison.tolerance import Tolerance
from onnxpack.signature import Array

FACTOR = 4.0
"""A graph may be this many times as far from the framework as float32 is from float64."""
TYPICAL = 0.9
"""Quantile of the elements' own errors that counts as the typical error."""

Outputs = Mapping[str, Array]


def without_undecided(
    expected: Outputs, witnesses: Sequence[Outputs], actual: Outputs, tolerance: Tolerance
) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the graph's answer with the undecided elements set to the expected ones.

    Args:
        expected: the framework's answer.
        witnesses: its answers in float64, to inputs next to the case, and with weights next to its
            own.
        actual: the graph's answer.

    Returns:
        The answer, and a text for each output that says how many elements were not compared.
    """
    found = dict(actual)
    reasons: dict[str, str] = {}
    for name, wanted in expected.items():
        if wanted.shape != actual[name].shape:
            continue
        exact = [witness[name] for witness in witnesses if name in witness]
        open_places = _undecided(wanted, exact, actual[name], tolerance.rtol)
        count = int(np.count_nonzero(open_places))
        if count:
            found[name] = np.where(open_places, wanted, actual[name]).astype(actual[name].dtype)
            reasons[name] = (
                f"{count} of {wanted.size} elements were not compared: rounding decides them, "
                "because the model itself answers differently in float64 or with weights "
                "changed by one rounding"
            )
    return found, reasons


def nudged(feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Return the inputs with every floating-point number moved to one of its two neighbours."""
    random = np.random.default_rng(0)

    def moved(array: Array) -> Array:
        towards = random.choice([-np.inf, np.inf], array.shape).astype(array.dtype)
        return np.where(array == 0, array, np.nextafter(array, towards))

    return {name: moved(each) if each.dtype.kind == "f" else each for name, each in feeds.items()}


def _undecided(wanted: Array, exact: Sequence[Array], actual: Array, rtol: float) -> Array:
    found = np.zeros(wanted.shape, bool)
    if any(each.shape != wanted.shape for each in exact):
        return ~found
    if wanted.dtype.kind not in "fc":
        for each in exact:
            found |= wanted != each
        return found
    wide = wanted.astype(np.complex128 if wanted.dtype.kind == "c" else np.float64)
    own = np.zeros(wanted.shape)
    with np.errstate(all="ignore"):
        for each in exact:
            found |= np.isfinite(wanted) != np.isfinite(each)
            own = np.fmax(own, np.abs(wide - each))
        gap = np.abs(wide - actual)
        beyond = gap > rtol * np.abs(wide)
    finite = np.isfinite(own) & ~found
    if not finite.any():
        return found
    typical = float(np.quantile(own[finite], TYPICAL))
    near = finite & np.isfinite(gap) & (gap <= FACTOR * np.maximum(own, typical))
    return np.asarray(found | (near & beyond))
