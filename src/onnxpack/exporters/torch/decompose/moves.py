"""Decompose moves of elements along an axis of any length."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def roll(x: Tensor, shifts: Any, dims: Any = None) -> Any:
    """Decompose ``torch.roll``: each place looks up where its element came from.

    The TorchScript exporter of torch 2.14.1 writes two slices, which overlap or leave nothing
    where a shift is larger than the axis; its dynamo exporter fixes the length of the axis.
    """
    if x.is_complex():
        return torch.complex(roll(x.real, shifts, dims), roll(x.imag, shifts, dims))
    steps, axes = (_each(given) for given in (shifts, () if dims is None else dims))
    if not axes:
        return _rolled(x.reshape(-1), steps[0], 0).reshape(x.shape)
    for step, axis in zip(steps, axes, strict=True):
        x = _rolled(x, step, axis)
    return x


def _rolled(x: Tensor, shift: Any, axis: int) -> Tensor:
    size: Any = x.shape[axis]
    # The dynamo exporter of torch 2.14.1 has no form for the remainder by a symbolic number.
    limit = torch.scalar_tensor(size, dtype=torch.int64) if isinstance(size, torch.SymInt) else size
    return x.index_select(axis, torch.remainder(torch.arange(size) - shift, limit))


def fftshift(x: Tensor, dim: Any = None) -> Any:
    """Decompose ``torch.fft.fftshift``: zero frequency moves to the middle."""
    return _shifted(x, dim, lambda size: size // 2)


def ifftshift(x: Tensor, dim: Any = None) -> Any:
    """Decompose ``torch.fft.ifftshift``: zero frequency moves to the start."""
    return _shifted(x, dim, lambda size: (size + 1) // 2)


def _shifted(x: Tensor, dim: Any, half: Any) -> Any:
    axes = tuple(range(x.dim())) if dim is None else _each(dim)
    return roll(x, tuple(half(x.shape[axis]) for axis in axes), axes)


def diff(x: Tensor, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Decompose ``torch.diff``, which exporters lack (TorchScript) or fix in length (dynamo)."""
    parts = [part for part in (prepend, x, append) if part is not None]
    x = torch.cat(parts, dim) if len(parts) > 1 else x
    axis = dim % x.dim()
    before, after = ((slice(None),) * axis + (part,) for part in (slice(0, -1), slice(1, None)))
    for _ in range(n):
        x = x[after] ^ x[before] if x.dtype is torch.bool else x[after] - x[before]
    return x


def _each(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def ravel(x: Tensor) -> Tensor:
    """Decompose ``torch.ravel``, which neither exporter of torch 2.14 supports."""
    return x.reshape(-1)


def matrix_transpose(x: Tensor) -> Any:
    """Decompose ``x.mT``, which the TorchScript exporter of torch 2.14 lacks."""
    return x.transpose(-2, -1)


def adjoint(x: Tensor) -> Any:
    """Decompose ``x.mH`` and ``torch.adjoint`` of real numbers."""
    return NotImplemented if x.is_complex() else matrix_transpose(x)
