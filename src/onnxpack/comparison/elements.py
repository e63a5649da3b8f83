"""Compare floating-point arrays element by element."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from onnxpack.comparison.scale import distinct, surroundings
from onnxpack.signature import Array

NOISE_FACTOR = 4.0
"""Two float32 evaluations of one formula differ by at most a small multiple of their own errors."""
NOISE_CEILING = 1e-3
"""A difference larger than this fraction of the common magnitude around an element is not noise."""
FLOAT64_ROUNDING = 1e-12
"""Allowed error of a float64 element, as a fraction of the common magnitude around it. There is no
wider dtype to check float64 against. A Fourier transform, or a sum of a thousand terms, that should
give 0 is off by as much."""
ROUNDINGS = 2.0
"""Allowed error in units in the last place of the largest numbers that are reached from the
element. ONNX Runtime 1.32 computes the states of an LSTM to this precision, where PyTorch keeps the
digits of 1e-9."""
SATURATED = 16.0
"""Allowed error of a function in its tail, in units in the last place of the largest group around
it. ONNX Runtime 1.32 gives 0 for a sigmoid below 1e-8. Where all numbers are in the tail, no error
is allowed."""
CANDIDATES = 16
"""Number of elements that are examined to find the one closest to its allowed error."""


@dataclass(frozen=True, slots=True)
class Noise:
    """The rounding error that float32 costs the framework itself.

    Attributes:
        own: for each element, how far the framework's answer is from its answer in float64.
        usual: the usual magnitude at each index of the last axis over the cases; 0 where unknown.
        far: whether the inputs are far from the model's training data, so that functions saturate.
            A kernel is then exact to a rounding of its range, not of its tail.
        recorded: the noise that the proof allowed for this output; used when a pack is checked
            again.
    """

    own: Array | None = None
    usual: Array | float = 0.0
    far: bool = False
    recorded: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on the elements of an array.

    Attributes:
        differing: how many elements differ by more than is allowed.
        error: the difference at the worst element: the one with the largest ratio of difference to
            allowed difference.
        allowed: the allowed difference at that element.
        noise: the largest difference that was allowed as noise.
        relative: the largest difference as a fraction of its element, over elements larger than the
            absolute tolerance.
    """

    differing: int
    error: float
    allowed: float
    noise: float
    relative: float


@dataclass(frozen=True)
class Elements:
    """The differences and magnitudes of the expected elements, 0 where not finite.

    Attributes:
        gap: the absolute difference of each element.
        magnitude: the absolute value of each expected element.
        kind: the limits of the outputs' dtype.
    """

    gap: Array
    magnitude: Array
    kind: np.finfo[np.floating]

    def judge(self, rtol: float, atol: float, noise: Noise | None) -> Judgement:
        """Judge each element. Typical magnitudes are measured only where they can matter."""
        near = rtol * self.magnitude
        # Kernels may flush what lies below the smallest normal number to zero.
        suspect = self.gap > np.maximum(near, self.kind.tiny)
        hopeless = suspect & (self.gap > near + max(atol, NOISE_CEILING) * self._largest)
        closest = self._closest(near + atol * self._largest)
        places = distinct(np.append(np.flatnonzero(suspect & ~hopeless), closest))
        plain, excused, floor = self._allowances(places, rtol, atol, noise or Noise())
        gap, magnitude = self.gap.reshape(-1)[places], self.magnitude.reshape(-1)[places]
        allowed = np.maximum(plain, excused)
        wrong = hopeless.reshape(-1)
        wrong[places] = gap > allowed
        excuses = (plain < gap) & (gap <= excused)
        stands_out = magnitude > floor
        worst = _worst(gap, allowed)
        return Judgement(
            differing=int(np.count_nonzero(wrong)),
            error=float(gap[worst].max(initial=0.0)),
            allowed=float(allowed[worst].max(initial=0.0)),
            noise=float(excused.max(initial=0.0, where=excuses)),
            relative=max(
                _relative(self.gap, self.magnitude, ~suspect),
                _relative(gap, magnitude, stands_out),
            ),
        )

    @cached_property
    def _largest(self) -> float:
        return float(self.magnitude.max(initial=0.0))

    def _closest(self, roughly: Array) -> Array:
        """Return the indices of the elements whose difference is closest to what is allowed."""
        with np.errstate(over="ignore"):
            ratio = np.asarray(self.gap / np.maximum(roughly, self.kind.tiny))
        count = min(CANDIDATES, ratio.size)
        return np.argpartition(ratio.reshape(-1), ratio.size - count)[ratio.size - count :]

    def _allowances(
        self, places: Array, rtol: float, atol: float, noise: Noise
    ) -> tuple[Array, Array, Array]:
        """Return three arrays for the given elements.

        They are the plain allowance, the allowance as noise, and the absolute part of the first.
        """
        around = surroundings(self.magnitude, places, noise.own)
        last_place = min(ROUNDINGS * float(self.kind.eps), atol)
        floor = np.maximum(atol * around.typical, last_place * around.reach)
        if self.kind.bits == np.finfo(np.float64).bits:
            floor = np.maximum(floor, min(FLOAT64_ROUNDING, atol) * around.common)
        plain = np.maximum(rtol * self.magnitude.reshape(-1)[places] + floor, self.kind.tiny)
        usual = np.broadcast_to(noise.usual, self.magnitude.shape).flat[places]
        own = noise.recorded if noise.own is None else NOISE_FACTOR * around.error
        if noise.far:
            own = np.maximum(own, SATURATED * float(self.kind.eps) * around.summit)
        return plain, np.minimum(own, NOISE_CEILING * np.maximum(around.common, usual)), floor


def _worst(gap: Array, allowed: Array) -> Array:
    """Return the index of the largest ratio as an array; empty for empty arrays."""
    with np.errstate(over="ignore"):
        return np.argsort(gap / allowed, kind="stable")[-1:]


def _relative(gap: Array, magnitude: Array, counts: Array) -> float:
    counts = counts & (magnitude > 0)
    with np.errstate(over="ignore"):
        ratio = np.divide(gap, magnitude, out=np.zeros_like(gap), where=counts)
    return float(ratio.max(initial=0.0))
