"""Decompose shifts of integers by any number of bits.

In PyTorch 2.14 a shift by a negative number, or by as many bits as there are, leaves nothing but
the sign. Its exporters multiply and divide by powers of two, which wrap around.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def left(x: Any, other: Any) -> Any:
    """Return ``x << other``, which is 0 beyond the width."""
    return _within(torch.bitwise_left_shift, x, other, torch.zeros_like)


def right(x: Any, other: Any) -> Any:
    """Return ``x >> other``, which keeps the sign."""
    return _within(torch.bitwise_right_shift, x, other, lambda number: -(number < 0).to(number))


def _within(
    shift: Callable[[Any, Any], Tensor], x: Any, other: Any, beyond: Callable[[Tensor], Tensor]
) -> Any:
    if not isinstance(x, Tensor) or x.is_floating_point() or x.dtype is torch.bool:
        return NotImplemented
    if not isinstance(other, Tensor):
        return NotImplemented
    bits = 8 * torch.empty(0, dtype=torch.result_type(x, other)).element_size()
    inside = (other >= 0) & (other < bits)
    shifted = shift(x, torch.where(inside, other, 0))
    return torch.where(inside, shifted, beyond(x).to(shifted.dtype))
