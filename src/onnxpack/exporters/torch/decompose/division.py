"""Decompose division that rounds: exact for integers, and like Python's for floats.

torch 2.14.1's TorchScript exporter writes ``//`` of integers as ONNX ``Div``, which truncates:
``-26 // 7`` becomes -3 where PyTorch says -4. For floats both of its exporters divide and then
round, so ``2.0 // 0.4`` becomes 5 where the float 0.4 fits in 4 times. They write ``x % y`` as
``x - floor(x / y) * y``, which is wrong for large ``x`` and NaN for an infinite ``y``. The
remainder of ``fmod`` is exact in ONNX (``Mod`` with ``fmod=1``), so everything is built on it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._C import _get_tracing_state


def floor_divide(x: Any, other: Any) -> Any:
    """Decompose ``x // other``."""
    return divide(x, other, rounding_mode="floor")


def floor_divided_by(x: Tensor, other: Any) -> Any:
    """Decompose ``other // x``."""
    return divide(_like(other, x), x, rounding_mode="floor")


def divide(x: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """Decompose ``torch.div`` with rounding."""
    if rounding_mode is None or not (isinstance(x, Tensor) or isinstance(other, Tensor)):
        return NotImplemented
    x, other = _both(x, other)
    if x.is_complex():
        return NotImplemented
    if rounding_mode == "trunc" and x.is_floating_point():
        return trunc(x / other)
    left = torch.fmod(x, other)
    if rounding_mode == "trunc":
        return _exact(x - left, other)
    below = (left != 0) & ((left < 0) != (other < 0))
    if not x.is_floating_point():
        return _exact(x - left, other) - below.to(x.dtype)
    rounded = _whole((x - left) / other - torch.where(below, 1.0, 0.0))
    # PyTorch divides by zero, and into infinity, without looking at the remainder.
    return torch.where(other == 0, x / other, rounded)


def remainder(x: Any, other: Any) -> Any:
    """Decompose ``x % other``; the remainder has the sign of the divisor."""
    if not (isinstance(x, Tensor) or isinstance(other, Tensor)):
        return NotImplemented
    x, other = _both(x, other)
    left = torch.fmod(x, other)
    return torch.where((left != 0) & ((left < 0) != (other < 0)), left + other, left)


def remainder_of(x: Tensor, other: Any) -> Any:
    """Decompose ``other % x``."""
    return remainder(_like(other, x), x)


def trunc(x: Tensor) -> Tensor:
    """Decompose ``torch.trunc``: ONNX 18 has no such operator, and a cast to int64 overflows."""
    return torch.where(x < 0, x.ceil(), x.floor()) if x.is_floating_point() else x


def frac(x: Tensor) -> Tensor:
    """Decompose ``torch.frac``, which the exporters do not support."""
    return x - trunc(x)


def _both(x: Any, other: Any) -> tuple[Tensor, Tensor]:
    """Return both operands as tensors of the dtype in which PyTorch divides them."""
    x, other = (_like(a, b) if isinstance(b, Tensor) else a for a, b in ((x, other), (other, x)))
    kind = torch.result_type(x, other)
    kind = torch.uint8 if kind is torch.bool else kind
    return x.to(kind), other.to(kind)


def _like(value: Any, beside: Tensor) -> Tensor:
    """Return a number, or a size that varies, as a tensor that keeps the result's dtype."""
    if isinstance(value, Tensor):
        return value
    return torch.scalar_tensor(value, dtype=torch.result_type(beside, _plain(value)))


def _plain(value: Any) -> Any:
    """Return an example number with the dtype of a size that varies."""
    kinds = ((torch.SymInt, 1), (torch.SymFloat, 1.0), (torch.SymBool, True))
    return next((example for kind, example in kinds if isinstance(value, kind)), value)


def _exact(multiple: Tensor, other: Tensor) -> Tensor:
    """Return the quotient of integers without remainder, in each exporter's shortest form."""
    if _get_tracing_state():
        return torch.div(multiple, other, rounding_mode="trunc")
    return torch.floor_divide(multiple, other)


def _whole(quotient: Tensor) -> Tensor:
    """Return the nearest whole number: the quotient may be rounded to just above or below it."""
    whole = quotient.floor()
    return torch.where(quotient - whole > 0.5, whole + 1, whole)
