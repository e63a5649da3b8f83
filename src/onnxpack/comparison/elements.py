"""Floating-point arrays, judged element by element."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from onnxpack.comparison.scale import distinct, surroundings
from onnxpack.signature import Array

NOISE_FACTOR = 4.0
"""Two float32 evaluations of one formula lie within a small multiple of each other's error."""
NOISE_CEILING = 1e-3
"""As a fraction of what is common around the element: a larger difference is never noise."""
FLOAT64_ROUNDING = 1e-12
"""Of what is common around an element: float64 has no wider type to be checked against. A Fourier
transform, or a sum of a thousand terms, that should give 0 is off by as much."""
ROUNDINGS = 2.0
"""Units in the last place, of the largest numbers that are reached from an element, that it may be
off: ONNX Runtime 1.32 computes the states of an LSTM so, where PyTorch keeps the digits of 1e-9."""
SATURATED = 16.0
"""Units in the last place, of the largest group around it, that a function may be off in its tail:
ONNX Runtime 1.32 gives 0 for a sigmoid below 1e-8. Where all numbers are tails, none may be off."""
CANDIDATES = 16
"""Elements among which the one that comes closest to what it is allowed is looked for."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What float32 costs the framework itself.

    Attributes:
        own: for each element, how far the framework's answer is from its answer in float64.
        usual: the magnitude that each place of the last axis has in most cases; 0 where unknown.
        far: whether the inputs are far from all that the model has seen, so that functions
            saturate: there a kernel is exact to a rounding of its range, not of its tail.
        recorded: what the proof allowed the output, where a pack is replayed.
    """

    own: Array | None = None
    usual: Array | float = 0.0
    far: bool = False
    recorded: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on the elements of an array.

    Attributes:
        differing: how many are further off than they are allowed to be.
        error: the difference at the element that comes closest to what it is allowed, or is
            furthest beyond.
        allowed: what that element is allowed.
        noise: the largest difference that was allowed as noise.
        relative: the largest difference as a fraction of its element, over elements that stand
            out of the absolute tolerance.
    """

    differing: int
    error: float
    allowed: float
    noise: float
    relative: float


@dataclass(frozen=True)
class Elements:
    """The differences and the magnitudes of the expected elements, 0 where not finite.

    Attributes:
        gap: how far each element is off.
        magnitude: how large each expected element is.
        kind: the limits of the outputs' dtype.
    """

    gap: Array
    magnitude: Array
    kind: np.finfo[np.floating]

    def judge(self, rtol: float, atol: float, noise: Noise | None) -> Judgement:
        """Judge each element; what is typical around it is measured only where it matters."""
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
        """The elements that come closest to what they are roughly allowed."""
        with np.errstate(over="ignore"):
            ratio = np.asarray(self.gap / np.maximum(roughly, self.kind.tiny))
        count = min(CANDIDATES, ratio.size)
        return np.argpartition(ratio.reshape(-1), ratio.size - count)[ratio.size - count :]

    def _allowances(
        self, places: Array, rtol: float, atol: float, noise: Noise
    ) -> tuple[Array, Array, Array]:
        """What some elements are allowed, what they are excused as noise, and the absolute part."""
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
    """The index of the largest ratio; empty where there is no element."""
    with np.errstate(over="ignore"):
        return np.argsort(gap / allowed, kind="stable")[-1:]


def _relative(gap: Array, magnitude: Array, counts: Array) -> float:
    counts = counts & (magnitude > 0)
    with np.errstate(over="ignore"):
        ratio = np.divide(gap, magnitude, out=np.zeros_like(gap), where=counts)
    return float(ratio.max(initial=0.0))
