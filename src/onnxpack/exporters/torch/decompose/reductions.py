"""Decompose sums, means and other reductions, also of no elements and of integers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols


def mean(x: Tensor, dim: Any = None, keepdim: bool = False, **options: Any) -> Any:
    """Decompose ``torch.mean`` over a number of elements that depends on values and may be 0.

    ``torch.export`` of torch 2.14.1 checks whether there is any element, and fails.
    """
    if options or not any(free_unbacked_symbols(size) for size in x.shape):
        return NotImplemented
    if dim is None:
        return x.sum() / x.numel()
    count = 1
    for axis in dim if isinstance(dim, list | tuple) else (dim,):
        count = count * x.shape[axis]
    return x.sum(dim, keepdim) / count


def any_true(x: Tensor, *args: Any, **options: Any) -> Any:
    """Decompose ``torch.any`` of numbers.

    The TorchScript exporter of torch 2.14.1 casts to int64 first, so that 0.5 counts as false.
    """
    return NotImplemented if x.dtype is torch.bool else _of_truth(torch.any, x, *args, **options)


def all_true(x: Tensor, *args: Any, **options: Any) -> Any:
    """Decompose ``torch.all`` of numbers; see :func:`any_true`."""
    return NotImplemented if x.dtype is torch.bool else _of_truth(torch.all, x, *args, **options)


def _of_truth(plain: Any, x: Tensor, *args: Any, **options: Any) -> Tensor:
    found: Tensor = plain(x != 0, *args, **options)
    return found.to(torch.uint8) if x.dtype is torch.uint8 else found


def cumsum(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Any:
    """Decompose ``torch.cumsum`` of integers, which PyTorch adds up in int64.

    The exporters keep the dtype, and ONNX ``CumSum`` accepts neither bool nor integers of 8 or 16
    bits.
    """
    if dtype is not None or x.is_floating_point() or x.is_complex() or x.dtype is torch.int64:
        return NotImplemented
    return x.long().cumsum(dim)


def var(x: Tensor, dim: Any = None, *args: Any, **options: Any) -> Any:
    """Decompose ``torch.var`` with a correction other than 0 and 1; the divisor is at least 0.

    The exporters of torch 2.14.1 divide by ``n - correction``, which may be negative.
    """
    correction = options.get("correction", 1)
    if args or correction in (0, 1, None) or not isinstance(dim, int | list | tuple):
        return NotImplemented
    axes = list(dim) if isinstance(dim, list | tuple) else [dim]
    away = x - x.mean(axes, keepdim=True)
    count = torch.ones_like(x).sum(axes, keepdim=True)
    squares = (away * away).sum(axes, keepdim=True) / (count - correction).clamp(min=0)
    return squares if options.get("keepdim") else squares.sum(axes)


def std(x: Tensor, dim: Any = None, *args: Any, **options: Any) -> Any:
    """Decompose ``torch.std``; see :func:`var`."""
    found = var(x, dim, *args, **options)
    return found if found is NotImplemented else found.sqrt()
