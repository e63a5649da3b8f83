"""Powers, quotients and shifts of integers, which answer everywhere, as XLA's do.

ONNX Runtime's Pow computes integers in float64 and saturates, and its BitShift is C++'s, which
leaves open what a shift by all the bits or more gives. A division by zero raises an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jax import lax

NARROW = 32
"""ONNX Runtime 1.32 multiplies integers of this width and wider only."""


def integer_pow(base: Any, *, y: int) -> Any:
    """``lax.integer_pow`` of integers, for which JAX takes no exponent below zero."""
    dtype = base.dtype
    square, answer = _signed(base), None
    while True:
        if y & 1:
            answer = square if answer is None else lax.mul(answer, square)
        y >>= 1
        if not y:
            break
        square = lax.mul(square, square)
    return lax.full_like(base, 1) if answer is None else lax.convert_element_type(answer, dtype)


def square(base: Any) -> Any:
    """Return the square, as ``lax.square`` does."""
    return integer_pow(base, y=2)


def div(one: Any, other: Any) -> Any:
    """``lax.div``, which gives -1 by 0, and wraps by -1; ONNX Runtime fails there, or dies."""
    if isinstance(other, np.ndarray) and not np.isin(other, [0, -1]).any():
        return lax.div(one, other)
    zero = lax.eq(other, lax.full_like(other, 0))
    safe = lax.select(zero, lax.full_like(other, 1), other)
    by_zero = lax.full_like(one, np.array(-1).astype(one.dtype))
    if one.dtype.kind == "u":
        return lax.select(zero, by_zero, lax.div(one, safe))
    back = lax.eq(other, lax.full_like(other, -1))
    safe = lax.select(back, lax.full_like(other, 1), safe)
    negated = lax.sub(lax.full_like(one, 0), one)
    return lax.select(zero, by_zero, lax.select(back, negated, lax.div(one, safe)))


def rem(one: Any, other: Any) -> Any:
    """``lax.rem``, which jax2onnx 0.17 does not write for sizes that vary."""
    return lax.sub(one, lax.mul(lax.div(one, other), other))


def shift_left(bits: Any, by: Any) -> Any:
    """``lax.shift_left``; a shift by all the bits or more gives 0."""
    return _shifted(lax.shift_left, bits, by)


def shift_right_logical(bits: Any, by: Any) -> Any:
    """``lax.shift_right_logical``; a shift by all the bits or more gives 0."""
    return _shifted(lax.shift_right_logical, bits, by)


def shift_right_arithmetic(bits: Any, by: Any) -> Any:
    """``lax.shift_right_arithmetic``, for which unsigned integers have a sign too."""
    width = bits.dtype.itemsize * 8
    signed = np.dtype(f"int{width}")
    most = lax.full_like(by, width - 1)
    within = lax.select(_is_below(by, width), by, most)
    answer = lax.shift_right_arithmetic(
        lax.convert_element_type(bits, signed), lax.convert_element_type(within, signed)
    )
    return lax.convert_element_type(answer, bits.dtype)


def _shifted(shift: Callable[[Any, Any], Any], bits: Any, by: Any) -> Any:
    """Return the shift of the bits without a sign: ONNX's BitShift takes no signed integers."""
    width = bits.dtype.itemsize * 8
    unsigned, wide = np.dtype(f"uint{width}"), np.dtype(f"uint{max(width, NARROW)}")
    below = _is_below(by, width)
    plain = lax.convert_element_type(lax.convert_element_type(bits, unsigned), wide)
    within = lax.convert_element_type(lax.select(below, by, lax.full_like(by, 0)), wide)
    answer = lax.convert_element_type(shift(plain, within), unsigned)
    return lax.select(below, lax.convert_element_type(answer, bits.dtype), lax.full_like(bits, 0))


def _is_below(by: Any, width: int) -> Any:
    """Return whether a shift is by fewer bits than there are; one below zero is none of them."""
    fewer = lax.lt(by, lax.full_like(by, width))
    return fewer & lax.ge(by, lax.full_like(by, 0)) if by.dtype.kind == "i" else fewer


def _signed(array: Any) -> Any:
    """The same bits in a dtype that ONNX Runtime multiplies; a product's low bits are equal."""
    width = max(array.dtype.itemsize * 8, NARROW)
    return lax.convert_element_type(array, np.dtype(f"int{width}"))
