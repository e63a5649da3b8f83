"""Functions that are small in their tails keep their digits there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.stats as stats
import numpy as np
import pytest
from jax import lax
from jax.scipy import special

import onnxpack
from onnxpack.exporters.jax import tails

SAMPLE = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
FAR = np.arange(-9, 9, 0.37, dtype=np.float32)
NEAR_ZERO = np.array([-1e-3, -1e-5, -1e-9, -0.0, 0, 1e-9, 1e-5, 1e-3], np.float32)
ENDS = np.array([-np.inf, -50, 50, np.inf, np.nan], np.float32)


@pytest.mark.parametrize("x", [FAR, NEAR_ZERO, ENDS], ids=["far", "near zero", "ends"])
@pytest.mark.parametrize("name", ["erfc", "expm1", "log1p"])
def test_restated_functions_are_as_exact_as_jax(name: str, x: Any) -> None:
    found = getattr(tails, name)(jnp.asarray(x))
    np.testing.assert_allclose(found, getattr(lax, name)(x), rtol=5e-6, atol=1e-37)


def test_other_dtypes_stay_with_jax() -> None:
    with jax.enable_x64(True):
        assert tails.erfc(jnp.asarray(FAR, jnp.float64)).dtype == jnp.float64
    whole = jnp.asarray([0.5 + 1j])
    np.testing.assert_allclose(tails.log1p(whole, accuracy=None), jnp.log1p(whole))
    np.testing.assert_allclose(tails.expm1(whole, accuracy=None), jnp.expm1(whole))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jax.nn.gelu(x, approximate=False),
        special.erfc,
        special.ndtr,
        stats.norm.cdf,
        jax.nn.log_sigmoid,
        jax.nn.softplus,
        lambda x: -jnp.log10(special.erfc(jnp.abs(x) / np.float32(np.sqrt(2)))),
    ],
    ids=["gelu", "erfc", "ndtr", "cdf", "log sigmoid", "softplus", "p value"],
)
def test_tails_of_an_exported_function(function: Callable[[Any], Any], tmp_path: Path) -> None:
    jitted = jax.jit(function)
    model = onnxpack.Model(onnxpack.export(jitted, SAMPLE, tmp_path / "pack"))
    x = np.resize(FAR, (9, 5))
    np.testing.assert_allclose(np.asarray(model(x)), jitted(x), rtol=2e-5, atol=1e-37)
