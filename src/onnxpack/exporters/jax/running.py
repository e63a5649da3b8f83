"""Compute running maxima, minima and products step by step.

jax2onnx 0.17 writes the first two with MaxPool, which starts from the least finite number:
infinities are lost, and a NaN is skipped. It writes a product as CumProd, which exists only from
opset 26 on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jax import lax


def cummax(array: Any, *, axis: int, reverse: bool) -> Any:
    """Return the largest number so far at each place, as ``lax.cummax`` does."""
    return _running(lax.max, array, axis, reverse=reverse)


def cummin(array: Any, *, axis: int, reverse: bool) -> Any:
    """Return the smallest number so far at each place, as ``lax.cummin`` does."""
    return _running(lax.min, array, axis, reverse=reverse)


def cumprod(array: Any, *, axis: int, reverse: bool) -> Any:
    """Return the product of the numbers so far, as ``lax.cumprod`` does."""
    return _running(lax.mul, array, axis, reverse=reverse)


def _running(join: Callable[[Any, Any], Any], array: Any, axis: int, *, reverse: bool) -> Any:
    """Join each number with those 1, 2, 4, ... places before it, until all are included.

    Raises:
        NotImplementedError: the size along the axis varies.
    """
    size = array.shape[axis]
    if not isinstance(size, int):
        raise NotImplementedError(f"a running {join.__name__} over a dynamic axis, {size}")
    far = 1
    while far < size:
        first = lax.slice_in_dim(array, 0, size - far, axis=axis)
        last = lax.slice_in_dim(array, far, size, axis=axis)
        both = join(first, last)
        if reverse:
            kept = lax.slice_in_dim(array, size - far, size, axis=axis)
            array = lax.concatenate([both, kept], axis)
        else:
            kept = lax.slice_in_dim(array, 0, far, axis=axis)
            array = lax.concatenate([kept, both], axis)
        far *= 2
    return array
