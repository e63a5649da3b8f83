"""When two arrays of predictions count as equal, and how far apart they were.

An absolute tolerance means nothing without the size of what is compared, so it is taken as a
fraction of the output's scale: the largest finite magnitude in the expected array.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from onnxpack.signature import Array, describe

if TYPE_CHECKING:
    import numpy as np

_LARGEST = sys.float_info.max
"""Evidence is written as JSON, which has no infinity."""


class Tolerance(msgspec.Struct, frozen=True):
    """``|actual - expected| <= rtol * |expected| + atol * scale``, element by element.

    Attributes:
        rtol: relative to each expected element.
        atol: relative to the scale of the whole expected array.
    """

    rtol: float = 1e-3
    atol: float = 1e-5


class OutputEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the comparison of one output in one case found.

    Attributes:
        output: its name.
        max_abs: the largest absolute difference over finite elements.
        max_rel: the largest difference relative to the expected element, over elements that
            stand out of the absolute tolerance.
        argmax_agreement: the share of rows whose largest element stands at the same place;
            None where rows have no meaning.
        noise: an absolute difference that was allowed because the framework's own answer is
            that far from its answer in float64; 0 where no such allowance was needed.
        passed: the verdict.
        reason: why not, where it did not.
    """

    output: str
    max_abs: float
    max_rel: float
    argmax_agreement: float | None
    passed: bool
    noise: float = 0.0
    reason: str = ""


def compare(
    output: str, expected: Array, actual: Array, tolerance: Tolerance, *, noise: float = 0.0
) -> OutputEvidence:
    """Compare one output, exact in shape, dtype and the places of NaN and infinity.

    Integers, booleans and strings must be equal.

    Args:
        noise: an absolute difference to allow besides the tolerance (see OutputEvidence).
    """
    import numpy as np

    if expected.dtype != actual.dtype or expected.shape != actual.shape:
        found = describe(str(actual.dtype), actual.shape)
        wanted = describe(str(expected.dtype), expected.shape)
        return failed(output, f"is {found}, expected {wanted}")
    if expected.dtype.kind not in "fc":
        return _compare_exact(output, expected, actual)
    finite = np.isfinite(expected)
    if not np.array_equal(
        np.where(finite, 0, expected), np.where(np.isfinite(actual), 0, actual), equal_nan=True
    ):
        return failed(output, "NaN or infinity stands in other places than expected")
    return _compare_close(output, expected, actual, finite, tolerance, noise)


def scale(expected: Array) -> float:
    """The largest finite magnitude of an array; 0 for an empty one."""
    import numpy as np

    finite = expected[np.isfinite(expected)].astype(_widened(expected))
    with np.errstate(over="ignore"):
        return min(float(np.abs(finite).max(initial=0.0)), _LARGEST)


def _widened(array: Array) -> type[np.complex128 | np.float64]:
    import numpy as np

    return np.complex128 if array.dtype.kind == "c" else np.float64


def _compare_exact(output: str, expected: Array, actual: Array) -> OutputEvidence:
    import numpy as np

    wrong = int(np.count_nonzero(expected != actual))
    passed = wrong == 0
    numeric = expected.dtype.kind in "iu" and expected.size > 0
    gap = np.abs(expected.astype(np.float64) - actual.astype(np.float64)) if numeric else None
    return OutputEvidence(
        output=output,
        max_abs=float(gap.max()) if gap is not None else float(not passed),
        max_rel=0.0 if passed else 1.0,
        argmax_agreement=None,
        passed=passed,
        reason="" if passed else f"{wrong} of {expected.size} elements differ",
    )


def _compare_close(
    output: str,
    expected: Array,
    actual: Array,
    finite: Array,
    tolerance: Tolerance,
    noise: float,
) -> OutputEvidence:
    import numpy as np

    wide = _widened(expected)
    wanted = np.where(finite, expected, 0).astype(wide)
    with np.errstate(over="ignore"):
        gap = np.abs(np.where(finite, actual, 0).astype(wide) - wanted)
    floor = tolerance.atol * scale(expected)
    magnitude = np.abs(wanted)
    wrong = gap > np.maximum(tolerance.rtol * magnitude + floor, noise)
    beyond = magnitude > floor
    with np.errstate(over="ignore"):
        relative = np.divide(gap, magnitude, out=np.zeros_like(gap), where=beyond)
    differing = int(np.count_nonzero(wrong))
    max_abs = min(float(gap.max(initial=0.0)), _LARGEST)
    return OutputEvidence(
        output=output,
        max_abs=max_abs,
        max_rel=min(float(relative.max(initial=0.0)), _LARGEST),
        argmax_agreement=_argmax_agreement(expected, actual),
        noise=noise,
        passed=differing == 0,
        reason=""
        if differing == 0
        else f"{differing} of {expected.size} elements differ, by up to {max_abs:.3g} "
        f"where the largest magnitude is {scale(expected):.3g}",
    )


def _argmax_agreement(expected: Array, actual: Array) -> float | None:
    import numpy as np

    if expected.dtype.kind != "f" or expected.ndim < 2 or expected.shape[-1] < 2:
        return None
    if expected.size == 0:
        return None
    return float(np.mean(expected.argmax(axis=-1) == actual.argmax(axis=-1)))


def failed(output: str, reason: str) -> OutputEvidence:
    """The evidence of an output that could not be compared at all."""
    return OutputEvidence(
        output=output, max_abs=0.0, max_rel=0.0, argmax_agreement=None, passed=False, reason=reason
    )
