"""Decide when two arrays of predictions count as equal, and measure how far apart they are.

An absolute tolerance means nothing without the size of what is compared. It is taken as a fraction
of what is typical around the element (:mod:`onnxpack.comparison.scale`), never of the output's
largest value: one mask value of -1e8 would excuse any error next to it.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

import msgspec

from onnxpack.errors import UsageError
from onnxpack.signature import Array, describe

if TYPE_CHECKING:
    from onnxpack.comparison.elements import Noise

LIMIT = 0.1
"""Largest accepted ``rtol`` and ``atol``: a wider tolerance proves nothing."""
_LARGEST = sys.float_info.max
"""Used in place of infinity: evidence is written as JSON, which has no infinity."""


class Tolerance(msgspec.Struct, frozen=True):
    """The condition ``|actual - expected| <= rtol * |expected| + atol * typical``.

    Attributes:
        rtol: tolerance relative to each expected element; at most 0.1.
        atol: tolerance relative to what is typical around the element, in its row, column or
            channel; at most 0.1.

    Raises:
        UsageError: a number is out of its bounds, or not finite.
    """

    rtol: float = 1e-3
    atol: float = 1e-5

    def __post_init__(self) -> None:
        """Raise UsageError for a tolerance that would let any difference pass."""
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            if not (math.isfinite(value) and 0 <= value <= LIMIT):
                raise UsageError(
                    f"a tolerance has {name} {value:g}, expected a number from 0 to {LIMIT:g}.",
                    remedy=f"onnxpack.Tolerance({name}=1e-3)",
                )


class OutputEvidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of the comparison of one output in one case.

    Attributes:
        output: the output's name.
        max_abs: the largest absolute difference over finite elements.
        max_rel: the largest difference relative to the expected element, over elements larger than
            the absolute tolerance.
        argmax_agreement: the share of rows whose largest element has the same index; None where
            rows have no meaning.
        noise: the largest absolute difference that was allowed as rounding noise, because the
            framework's own answer differs as much from its answer in float64; 0 if no such
            allowance was needed.
        passed: whether the output counts as equal.
        reason: why the output failed; empty if it passed.
        error: the difference at the worst element: the one with the largest ratio of difference to
            allowed difference.
        allowed: the allowed difference at that element.
    """

    output: str
    max_abs: float
    max_rel: float
    argmax_agreement: float | None
    passed: bool
    noise: float = 0.0
    reason: str = ""
    error: float = 0.0
    allowed: float = 0.0

    @property
    def measured(self) -> str:
        """The largest error with its allowance, as text: ``largest error 3e-07, allowed 1e-05``."""
        return f"largest error {self.error:.3g}, allowed {self.allowed:.3g}"


def compare(
    output: str,
    expected: Array,
    actual: Array,
    tolerance: Tolerance,
    *,
    noise: Noise | None = None,
) -> OutputEvidence:
    """Compare one output. Shape, dtype and the places of NaN and infinity must be equal.

    Integers, booleans and strings must be equal too.

    Args:
        noise: the framework's own rounding error in float32, allowed in addition to the tolerance.
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
        return failed(output, "NaN or infinity is in other places than expected")
    return _compare_close(output, expected, actual, finite, tolerance, noise)


def _compare_exact(output: str, expected: Array, actual: Array) -> OutputEvidence:
    import numpy as np

    wrong = int(np.count_nonzero(expected != actual))
    passed = wrong == 0
    numeric = expected.dtype.kind in "iu" and expected.size > 0
    gap = np.abs(expected.astype(np.float64) - actual.astype(np.float64)) if numeric else None
    max_abs = float(gap.max()) if gap is not None else float(not passed)
    return OutputEvidence(
        output=output,
        max_abs=max_abs,
        max_rel=0.0 if passed else 1.0,
        argmax_agreement=None,
        passed=passed,
        reason="" if passed else f"{wrong} of {expected.size} elements differ",
        error=max_abs,
    )


def _compare_close(
    output: str,
    expected: Array,
    actual: Array,
    finite: Array,
    tolerance: Tolerance,
    noise: Noise | None,
) -> OutputEvidence:
    import numpy as np

    from onnxpack.comparison.elements import Elements

    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    wanted = np.where(finite, expected, 0).astype(wide)
    with np.errstate(over="ignore"):
        gap = np.abs(np.where(finite, actual, 0).astype(wide) - wanted)
        magnitude = np.minimum(np.abs(wanted), _LARGEST)
    elements = Elements(gap, magnitude, np.finfo(expected.dtype))
    found = elements.judge(tolerance.rtol, tolerance.atol, noise)
    measured = f"largest error {found.error:.3g}, allowed {found.allowed:.3g}"
    wrong = f"{found.differing} of {expected.size} elements differ: {measured}"
    return OutputEvidence(
        output=output,
        max_abs=min(float(gap.max(initial=0.0)), _LARGEST),
        max_rel=min(found.relative, _LARGEST),
        argmax_agreement=_argmax_agreement(expected, actual),
        noise=found.noise,
        passed=found.differing == 0,
        reason=wrong if found.differing else "",
        error=min(found.error, _LARGEST),
        allowed=min(found.allowed, _LARGEST),
    )


def _argmax_agreement(expected: Array, actual: Array) -> float | None:
    import numpy as np

    if expected.dtype.kind != "f" or expected.ndim < 2 or expected.shape[-1] < 2:
        return None
    if expected.size == 0:
        return None
    return float(np.mean(expected.argmax(axis=-1) == actual.argmax(axis=-1)))


def failed(output: str, reason: str) -> OutputEvidence:
    """Return the evidence of an output that could not be compared."""
    return OutputEvidence(
        output=output, max_abs=0.0, max_rel=0.0, argmax_agreement=None, passed=False, reason=reason
    )
