"""Division that rounds, as PyTorch does it: exact for integers of any size, Python's for floats.

The exporters divide in floating point and round: that takes 2.0 // 0.4 for 5 where the float 0.4
goes 4 times, and large integers for their neighbours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def floor_divide(x: Any, other: Any) -> Any:
    """``x // other``."""
    return divide(x, other, rounding_mode="floor")


def floor_divided_by(x: Tensor, other: Any) -> Any:
    """``other // x``."""
    return divide(
        torch.full_like(x, other, dtype=torch.result_type(x, other)), x, rounding_mode="floor"
    )


def divide(x: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """``torch.div``, where it rounds."""
    if rounding_mode is None or not isinstance(x, Tensor) or isinstance(other, torch.SymInt):
        return NotImplemented
    if x.is_floating_point() or _is_float(other):
        return _floored(x, other) if rounding_mode == "floor" else NotImplemented
    if rounding_mode == "floor" or x.dtype is torch.bool:
        return torch.floor_divide(x, other) if rounding_mode == "floor" else NotImplemented
    divisor = torch.as_tensor(other, dtype=x.dtype) if not isinstance(other, Tensor) else other
    whole = torch.floor_divide(x.abs(), divisor.abs())
    return torch.where((x < 0) == (divisor < 0), whole, -whole)


def _is_float(value: Any) -> bool:
    return value.is_floating_point() if isinstance(value, Tensor) else isinstance(value, float)


def _floored(x: Tensor, other: Any) -> Tensor:
    """What is left over decides; the quotient itself may be rounded up to the next number."""
    left = torch.fmod(x, other)
    below = torch.where((left != 0) & ((left < 0) != (other < torch.zeros_like(x))), 1.0, 0.0)
    quotient = (x - left) / other - below
    whole = quotient.floor()
    return torch.where(quotient - whole > 0.5, whole + 1, whole)
