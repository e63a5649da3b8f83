"""Products, powers, quotients and shifts of integers that give XLA's answers for all values.

ONNX Runtime's Pow computes integers in float64 and saturates. Its BitShift is C++'s, which does not
define a shift by all the bits or more. A division by zero raises an error. It has no Gemm of
integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jax import lax

NARROW = 32
"""The smallest width in bits of integers that ONNX Runtime 1.32 multiplies."""


def dot_general(
    one: Any, other: Any, *, dimension_numbers: Any, preferred_element_type: Any, **further: Any
) -> Any:
    """Return ``lax.dot_general`` of integers; a product of two matrices is a batch of one.

    jax2onnx 0.17 writes a Gemm for two matrices, and a MatMul for a batch of them. ONNX Runtime
    1.32 multiplies matrices of integers in MatMul only.
    """
    dtype = np.dtype(preferred_element_type or one.dtype)
    # Einsum, for products of other ranks, has kernels for signed integers only; both wrap alike.
    wide = np.dtype(f"i{max(dtype.itemsize, NARROW // 8)}")
    one, other = (lax.convert_element_type(each, wide) for each in (one, other))
    ((left, right), batches) = dimension_numbers
    alone = one.ndim == other.ndim == 2 and len(left) == 1
    if alone and not any(batches):
        one, other = (lax.expand_dims(each, [0]) for each in (one, other))
        left, right = [left[0] + 1], [right[0] + 1]
        batches = [0], [0]
    else:
        alone = False
    numbers = (left, right), batches
    found = lax.dot_general(one, other, numbers, preferred_element_type=wide, **further)
    return lax.convert_element_type(lax.squeeze(found, [0]) if alone else found, dtype)


def integer_pow(base: Any, *, y: int) -> Any:
    """Return ``lax.integer_pow`` of integers, for which JAX accepts no negative exponent."""
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
    """Return ``lax.div``, which is -1 for a divisor 0 and wraps around for -1.

    ONNX Runtime raises an error or ends the process there.
    """
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
    """Return ``lax.rem``, which jax2onnx 0.17 does not write for sizes that vary."""
    return lax.sub(one, lax.mul(lax.div(one, other), other))


def shift_left(bits: Any, by: Any) -> Any:
    """Return ``lax.shift_left``; a shift by all the bits or more gives 0."""
    return _shifted(lax.shift_left, bits, by)


def shift_right_logical(bits: Any, by: Any) -> Any:
    """Return ``lax.shift_right_logical``; a shift by all the bits or more gives 0."""
    return _shifted(lax.shift_right_logical, bits, by)


def shift_right_arithmetic(bits: Any, by: Any) -> Any:
    """Return ``lax.shift_right_arithmetic``, which treats unsigned integers as signed too."""
    width = bits.dtype.itemsize * 8
    signed = np.dtype(f"int{width}")
    most = lax.full_like(by, width - 1)
    within = lax.select(_is_below(by, width), by, most)
    answer = lax.shift_right_arithmetic(
        lax.convert_element_type(bits, signed), lax.convert_element_type(within, signed)
    )
    return lax.convert_element_type(answer, bits.dtype)


def _shifted(shift: Callable[[Any, Any], Any], bits: Any, by: Any) -> Any:
    """Shift the bits as unsigned integers: ONNX's BitShift takes no signed ones."""
    width = bits.dtype.itemsize * 8
    unsigned, wide = np.dtype(f"uint{width}"), np.dtype(f"uint{max(width, NARROW)}")
    below = _is_below(by, width)
    plain = lax.convert_element_type(lax.convert_element_type(bits, unsigned), wide)
    within = lax.convert_element_type(lax.select(below, by, lax.full_like(by, 0)), wide)
    answer = lax.convert_element_type(shift(plain, within), unsigned)
    return lax.select(below, lax.convert_element_type(answer, bits.dtype), lax.full_like(bits, 0))


def _is_below(by: Any, width: int) -> Any:
    """Return whether a shift is at least 0 and smaller than the number of bits."""
    fewer = lax.lt(by, lax.full_like(by, width))
    return fewer & lax.ge(by, lax.full_like(by, 0)) if by.dtype.kind == "i" else fewer


def _signed(array: Any) -> Any:
    """Return the same bits in a dtype that ONNX Runtime multiplies; the low bits stay equal."""
    width = max(array.dtype.itemsize * 8, NARROW)
    return lax.convert_element_type(array, np.dtype(f"int{width}"))
