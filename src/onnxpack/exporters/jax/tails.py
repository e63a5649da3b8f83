"""JAX's functions with small tails, exact to the last digit there.

jax2onnx 0.17 loses the digits, see :mod:`onnxpack.exporters.tails`. ``gelu``, ``log_sigmoid``,
``norm.cdf`` and ``logaddexp`` are computed from them.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from onnxpack.exporters import tails
from onnxpack.exporters.replaced import existing


def erfc(x: Any) -> Any:
    """Return ``lax.erfc(x)``; only float32 is rewritten."""
    return tails.erfc(jnp, x, lax.erf) if x.dtype == jnp.float32 else lax.erfc(x)


def gelu(x: Any, *, approximate: bool = True) -> Any:
    """Return ``jax.nn.gelu(x)``, computed with ``erfc`` unless it is the approximation."""
    if approximate:
        from jax2onnx.plugins.jax.nn.gelu import GeluPlugin

        return existing(GeluPlugin, "_PRIM").bind(x, approximate=True)
    return x * erfc(-x * np.sqrt(0.5).astype(x.dtype)) / 2


def log1p(x: Any, **parameters: Any) -> Any:
    """Return ``lax.log1p(x)``; complex numbers are not rewritten."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return lax.log1p_p.bind(x, **parameters)
    return tails.log1p(jnp, x)


def expm1(x: Any, **parameters: Any) -> Any:
    """Return ``lax.expm1(x)``; complex numbers are not rewritten."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return lax.expm1_p.bind(x, **parameters)
    return tails.expm1(jnp, x)
