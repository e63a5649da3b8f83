"""Decompose products and other operations on complex numbers into their parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

ON_PARTS = (
    "expand", "flip", "movedim", "permute", "repeat", "squeeze", "sum", "transpose",
    "unsqueeze",
)  # fmt: skip
"""Methods that can be applied to the real and the imaginary part separately."""


def on_parts(name: str) -> Callable[..., Any]:
    """Return a method that is applied to the real and the imaginary part separately."""
    plain = getattr(Tensor, name)

    def spelled(x: Any, *args: Any, **options: Any) -> Any:
        if not isinstance(x, Tensor) or not x.is_complex():
            return NotImplemented
        return torch.complex(plain(x.real, *args, **options), plain(x.imag, *args, **options))

    return spelled


def product(plain: Callable[..., Tensor]) -> Callable[..., Any]:
    """Return a product of complex matrices, made of products of their parts."""

    def spelled(x: Tensor, other: Tensor) -> Any:
        return _multiplied(plain, x, other)

    return spelled


def einsum(equation: Any, *operands: Any) -> Any:
    """Decompose ``torch.einsum`` of exactly two complex operands."""
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], list) else operands
    if not isinstance(equation, str) or len(given) != 2:
        return NotImplemented
    return _multiplied(partial(torch.einsum, equation), *given)


def _multiplied(plain: Callable[..., Tensor], x: Tensor, other: Tensor) -> Any:
    if not (x.is_complex() and other.is_complex()):
        return NotImplemented
    return torch.complex(
        plain(x.real, other.real) - plain(x.imag, other.imag),
        plain(x.real, other.imag) + plain(x.imag, other.real),
    )


def set_item(x: Any, index: Any, value: Any) -> Any:
    """Assign complex numbers to an index, both parts at once."""
    if not isinstance(value, Tensor) or not (x.is_complex() and value.is_complex()):
        return NotImplemented
    whole = index if isinstance(index, tuple) else (index,)
    both = (*whole, slice(None)) if Ellipsis in whole else whole
    torch.view_as_real(x)[both] = torch.view_as_real(value)
    return None


def zeros(*size: Any, dtype: torch.dtype | None = None, **options: Any) -> Any:
    """Decompose complex ``torch.zeros`` into two real parts."""
    if dtype not in (torch.complex64, torch.complex128):
        return NotImplemented
    part = torch.zeros(*size, dtype=dtype.to_real(), **options)
    return torch.complex(part, part)
