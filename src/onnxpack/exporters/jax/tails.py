"""Functions that are small in their tails, to the last digit there.

jax2onnx 0.17 writes ``erfc(x)`` as ``1 - erf(x)``, ``log1p(x)`` as ``log(1 + x)`` and ``expm1(x)``
as ``exp(x) - 1``: each is 0 where the true answer is less than a rounding of 1. ``gelu``,
``log_sigmoid``, ``norm.cdf`` and ``logaddexp`` are made of them.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from onnxpack.exporters.replaced import existing

LOGARITHM_OF_ERFC = (
    0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418,
    0.37409196, 1.00002368, -1.26551223,
)  # fmt: skip
"""Press et al., "Numerical Recipes", 6.2, to a relative 1.2e-7."""
ZERO_FROM = 20.0
"""In float32 erfc is 0 from 10.1 on."""
STEP = 16.0
"""The square of a number in sixteenths below 20 is exact in float32."""
NEAR = 0.5
"""Below it ``1 - erf(x)`` is exact to a rounding, and the polynomial to two."""


def erfc(x: Any) -> Any:
    """``lax.erfc`` of float32.

    ``exp(-z * z)`` is taken apart, as W. J. Cody does ("Rational Chebyshev approximations for the
    error function", 1969): the rounding of ``z * z`` would be one of 5e-6 of the answer.
    """
    if x.dtype != jnp.float32:
        return lax.erfc(x)
    size = jnp.abs(x)
    size = jnp.where(size > ZERO_FROM, ZERO_FROM, size)
    rough = jnp.floor(size * STEP) / STEP
    share = 1 / (1 + size / 2)
    power = jnp.zeros_like(share)
    for factor in LOGARITHM_OF_ERFC:
        power = power * share + factor
    tail = share * jnp.exp(power - (size - rough) * (size + rough)) * jnp.exp(-rough * rough)
    far = jnp.where(x < 0, 2 - tail, tail)
    return jnp.where(size < NEAR, 1 - lax.erf(x), far)


def gelu(x: Any, *, approximate: bool = True) -> Any:
    """``jax.nn.gelu``, which is made of ``erfc`` unless it is the approximation."""
    if approximate:
        from jax2onnx.plugins.jax.nn.gelu import GeluPlugin

        return existing(GeluPlugin, "_PRIM").bind(x, approximate=True)
    return x * erfc(-x * np.sqrt(0.5).astype(x.dtype)) / 2


def log1p(x: Any, **parameters: Any) -> Any:
    """``lax.log1p``: what rounding took from ``1 + x`` is given back by a quotient.

    Source: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 1.14.1.
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return lax.log1p_p.bind(x, **parameters)
    whole = 1 + x
    kept = (whole == 1) | (whole == jnp.inf)
    near = jnp.where(kept, 2, whole)
    return jnp.where(kept, x, jnp.log(near) * (x / (near - 1)))


def expm1(x: Any, **parameters: Any) -> Any:
    """``lax.expm1`` by a hyperbolic tangent, which is exact near 0."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return lax.expm1_p.bind(x, **parameters)
    near = jnp.where(jnp.abs(x) < 1, x, 0)
    return jnp.where(jnp.abs(x) < 1, jnp.tanh(near / 2) * (jnp.exp(near) + 1), jnp.exp(x) - 1)
