"""Search in sorted arrays with JAX's place for NaN: above every number.

jax2onnx 0.17 counts the numbers below a value, and none is below NaN, so it finds the first place.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp


def searchsorted(places: Any, values: Any, *, side: str, **_: Any) -> Any:
    """Return ``jnp.searchsorted``, as a count of the places before each value."""
    dtype = jnp.promote_types(places.dtype, values.dtype)
    found = _count(places.astype(dtype), values.astype(dtype), side)
    return found.astype(jnp.int32)


def digitize(values: Any, bins: Any, *, right: bool, **_: Any) -> Any:
    """Return ``jnp.digitize``, also for bins that descend."""
    if not bins.shape[0]:
        return jnp.zeros(values.shape, jnp.int32)
    side = "left" if right else "right"
    ascending = searchsorted(bins, values, side=side)
    descending = bins.shape[0] - searchsorted(bins[::-1], values, side=side)
    return jnp.where(bins[-1] >= bins[0], ascending, descending)


def _count(places: Any, values: Any, side: str) -> Any:
    each = values[..., None]
    before = places < each if side == "left" else places <= each
    if jnp.issubdtype(places.dtype, jnp.floating):
        before = before | _is_before_nan(places, each, side)
    return before.astype(jnp.int32).sum(-1)


def _is_before_nan(places: Any, each: Any, side: str) -> Any:
    """Return whether a value is NaN and a place before it; all NaN are equal to each other."""
    missing = each != each
    return missing & (places == places) if side == "left" else missing
