"""Functions with small tails, exact to the last digit there, made of simpler functions.

Exporters write ``erfc(x)`` as ``1 - erf(x)``, ``log1p(x)`` as ``log(1 + x)`` and ``expm1(x)`` as
``exp(x) - 1``: each is 0 where the true answer is less than a rounding of 1. The first argument of
each function here is ``torch`` or ``jax.numpy``, which share the needed names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LOGARITHM_OF_ERFC = (
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418,
    0.37409196, 1.00002368, -1.26551223,
)  # fmt: skip
"""Coefficients of Press et al., "Numerical Recipes", 6.2, with a relative error of 1.2e-7."""
ZERO_FROM = 20.0
"""Arguments are clipped to this magnitude: in float32 erfc is 0 from 10.1 on."""
STEP = 16.0
"""Arguments are rounded to sixteenths: the square of such a number below 20 is exact in float32."""
NEAR = 0.5
"""Below this magnitude ``1 - erf(x)`` is exact to one rounding, and the polynomial to two."""


def erfc(xp: Any, x: Any, erf: Callable[[Any], Any]) -> Any:
    """Return ``erfc(x)`` of float32.

    ``exp(-z * z)`` is split into factors, as W. J. Cody does ("Rational Chebyshev approximations
    for the error function", 1969): the rounding of ``z * z`` would cause a relative error of 5e-6.
    """
    size = xp.abs(x)
    size = xp.where(size > ZERO_FROM, ZERO_FROM, size)
    rough = xp.floor(size * STEP) / STEP
    share, power = _share_and_power(xp, size)
    tail = share * xp.exp(power - (size - rough) * (size + rough)) * xp.exp(-rough * rough)
    far = xp.where(x < 0, 2 - tail, tail)
    return xp.where(size < NEAR, 1 - erf(x), far)


def erfcx(xp: Any, x: Any) -> Any:
    """Return ``exp(x * x) * erfc(x)`` of float32, which falls as slowly as ``1 / x``."""
    size = xp.abs(x)
    share, power = _share_and_power(xp, size)
    above = share * xp.exp(power)
    return xp.where(x < 0, 2 * xp.exp(size * size) - above, above)


def log_ndtr(xp: Any, x: Any, erf: Callable[[Any], Any]) -> Any:
    """Return the logarithm of the share of a normal distribution below ``x``, in float32.

    Below 0 it is the logarithm of the polynomial for erfc, taken before any exponential underflows.
    """
    size = xp.abs(x) * 0.5**0.5
    share, power = _share_and_power(xp, size)
    below = xp.log(share / 2) + power - size * size
    return xp.where(x < 0, below, log1p(xp, -erfc(xp, size, erf) / 2))


def _share_and_power(xp: Any, size: Any) -> tuple[Any, Any]:
    """Return ``t`` and ``p`` of ``erfc(z) = t * exp(p - z * z)``, for ``z`` of at least 0."""
    share = 1 / (1 + size / 2)
    power = xp.zeros_like(share)
    for factor in LOGARITHM_OF_ERFC:
        power = power * share + factor
    return share, power


def log1p(xp: Any, x: Any) -> Any:
    """Return ``log1p(x)``; a quotient restores what rounding removed from ``1 + x``.

    Source: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 1.14.1.
    """
    whole = 1 + x
    kept = (whole == 1) | (whole == float("inf"))
    near = xp.where(kept, 2, whole)
    return xp.where(kept, x, xp.log(near) * (x / (near - 1)))


def expm1(xp: Any, x: Any) -> Any:
    """Return ``expm1(x)``, near 0 by a hyperbolic tangent, which is exact there."""
    is_near = xp.abs(x) < 1
    near = xp.where(is_near, x, 0)
    return xp.where(is_near, xp.tanh(near / 2) * (xp.exp(near) + 1), xp.exp(x) - 1)
