"""Decompose pools and resampling of fixed sizes, which exporters support only for some sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from onnxpack.exporters.torch.decompose.known_sizes import fixed_size


def adaptive(reduce: Callable[..., Tensor], count: int) -> Callable[..., Any]:
    """Return an adaptive pool over the last axes, made window by window.

    Args:
        reduce: ``torch.mean`` or ``torch.amax``.
        count: number of axes, the last ones.
    """

    def pool(x: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        wanted = _each(output_size, count)
        sizes = [fixed_size(x, axis) for axis in range(-count, 0)]
        pairs = list(zip(sizes, wanted, strict=True))
        if return_indices or all(map(_divides, pairs)):
            return NotImplemented
        for axis, (size, parts) in enumerate(pairs, -count):
            if parts is None or parts == size:
                continue
            if size is None:
                x = _masked(x, axis, parts, reduce)
            else:
                x = _sliced(x, axis, size, parts, reduce)
        return x

    return pool


def _divides(pair: tuple[Any, Any]) -> bool:
    """Return whether exporters support the pool: windows of one size, or one of the whole axis."""
    size, parts = pair
    return parts in (None, 1) or (size is not None and size % parts == 0)


def _sliced(x: Tensor, axis: int, size: int, parts: int, reduce: Callable[..., Tensor]) -> Tensor:
    spans = [(part * size // parts, -(-(part + 1) * size // parts)) for part in range(parts)]
    windows = (x.narrow(axis, start, end - start) for start, end in spans)
    return torch.cat([reduce(window, dim=axis, keepdim=True) for window in windows], axis)


def _masked(x: Tensor, axis: int, parts: int, reduce: Callable[..., Tensor]) -> Tensor:
    """Reduce the windows of an axis that varies: there, the ends of a slice would be guards."""
    size, rest = x.shape[axis], (1,) * (-axis - 1)
    place, part = torch.arange(size), torch.arange(parts).unsqueeze(1)
    starts, ends = part * size // parts, ((part + 1) * size + parts - 1) // parts
    inside = ((place >= starts) & (place < ends)).reshape(parts, size, *rest)
    if reduce is torch.amax:
        return torch.where(inside, x.unsqueeze(axis - 1), -torch.inf).amax(axis)
    total = torch.where(inside, x.unsqueeze(axis - 1), 0).sum(axis)
    return total / (ends - starts).reshape(parts, *rest).to(x.dtype)


def divided(plain: Callable[..., Tensor], count: int) -> Callable[..., Any]:
    """Return an average pool with a divisor of its own."""

    def pool(
        x: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        if divisor_override is None or ceil_mode or not count_include_pad:
            return NotImplemented
        taken = 1
        for side in _each(kernel_size, count):
            taken *= side
        return plain(x, kernel_size, stride, padding) * (taken / divisor_override)

    return pool


def _each(given: Any, count: int) -> Sequence[Any]:
    return tuple(given) if isinstance(given, list | tuple) else (given,) * count
