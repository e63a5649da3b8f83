"""Decompose powers: exact for integers, and with square roots for floats."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

LARGEST = 64
"""The largest exponent that is written as products."""


def power(x: Any, exponent: Any) -> Any:
    """Decompose ``x ** exponent``.

    onnxruntime 1.32's ``Pow`` computes integers in float64, which is wrong above 2^53 and does not
    wrap around, and does not accept int8 and uint8. PyTorch computes an exponent of 0.5 as a square
    root, which is NaN for minus infinity.
    """
    if isinstance(x, Tensor) and x.is_floating_point() and isinstance(exponent, float):
        roots = {0.5: torch.sqrt, -0.5: torch.rsqrt}
        return roots[exponent](x) if exponent in roots else NotImplemented
    if not all(map(_is_whole, (x, exponent))):
        return NotImplemented
    if isinstance(exponent, int):
        return _by_products(x, exponent) if 0 <= exponent <= LARGEST else NotImplemented
    return _by_bits(x, exponent) if isinstance(exponent, Tensor) else NotImplemented


def power_of(exponent: Tensor, x: Any) -> Any:
    """Decompose ``x ** exponent`` with the exponent as first argument."""
    return power(x, exponent)


def _is_whole(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not (value.is_floating_point() or value.is_complex() or value.dtype is torch.bool)
    return isinstance(value, int) and not isinstance(value, bool)


def _by_products(x: Tensor, exponent: int) -> Tensor:
    """Return the power by repeated squaring, for a known exponent."""
    answer, square = None, x
    while exponent:
        if exponent & 1:
            answer = square if answer is None else answer * square
        exponent >>= 1
        square = square * square if exponent else square
    return torch.ones_like(x) if answer is None else answer


def _by_bits(x: Any, exponent: Tensor) -> Tensor:
    """Return the power by repeated squaring, for exponents that vary.

    Negative exponents give 1, -1 or 0.

    Every bit of the exponent counts: an odd number that overflows wraps around, and never reaches
    0.
    """
    kind = torch.result_type(x, exponent)
    plain = x.to(kind) if isinstance(x, Tensor) else torch.scalar_tensor(x, dtype=kind)
    base, exponent = plain, exponent.to(kind)
    odd = torch.remainder(exponent, 2)
    rest = exponent.clamp(min=0)
    answer = torch.ones_like(base + exponent)
    for _ in range(8 * exponent.element_size() - kind.is_signed):
        bit = torch.remainder(rest, 2) != 0
        answer = torch.where(bit, answer * base, answer)
        base, rest = base * base, torch.floor_divide(rest, 2)
    if not kind.is_signed:
        return answer
    inverse = torch.where(plain == 1, 1, torch.where(plain == -1, 1 - 2 * odd, 0)).to(kind)
    return torch.where(exponent < 0, inverse, answer)
