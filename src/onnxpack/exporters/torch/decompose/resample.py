"""Decompose the resizing of pictures, sounds and volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._C import (  # type: ignore[attr-defined]
    _get_tracing_state,
    _set_tracing_state,
)
from torch.nn import functional

from onnxpack.exporters.torch.decompose.known_sizes import fixed_size

NEAREST = ("nearest", "nearest-exact")
PICTURES = 4
"""Axes of pictures: batch, channels, height, width."""


def interpolate(
    x: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Decompose ``F.interpolate`` where ONNX ``Resize`` differs or is not written."""
    if mode in NEAREST:
        return _nearest(x, size, scale_factor, mode, again=bool(recompute_scale_factor))
    if mode == "bicubic" and antialias:
        options = {
            "mode": mode,
            "align_corners": align_corners,
            "recompute_scale_factor": recompute_scale_factor,
            "antialias": True,
        }
        return _antialiased(x, size, scale_factor, options)
    return NotImplemented


def upsample(
    x: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """Decompose ``F.upsample``, the old name of ``F.interpolate``."""
    return interpolate(x, size, scale_factor, mode, align_corners)


FAR = 8.0
"""Beyond this coordinate everything is outside, whatever the size and the kernel."""


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Any:
    """Decompose ``F.affine_grid`` for pictures; the operator would keep their size as a number."""
    if len(size) != PICTURES:
        return NotImplemented
    tall, wide = (_centres(each, theta, bool(align_corners)) for each in (size[-2], size[-1]))
    rows, columns = torch.meshgrid(tall, wide, indexing="ij")
    base = torch.stack([columns, rows, torch.ones_like(rows)], -1).flatten(0, 1)
    found: Tensor = base @ theta.transpose(1, 2)
    return found.reshape(theta.shape[0], rows.shape[0], rows.shape[1], 2)


def _centres(size: Any, like: Tensor, align_corners: bool) -> Tensor:
    """Return the coordinates of the pixels of one axis, from -1 to 1."""
    place = torch.arange(size, device=like.device).to(like.dtype)
    if align_corners:
        last = place[-1:]
        found: Tensor = torch.where(last > 0, place * 2 / last.clamp(min=1) - 1, 0)
    else:
        found = (place * 2 + 1) / size - 1
    return found


def grid_sample(
    x: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """Decompose ``F.grid_sample`` of coordinates that may be far outside.

    onnxruntime 1.32's ``GridSample`` turns coordinates into integers before it checks that they are
    inside, and gives zero if they are too large: from 1e7 on, as after a division by almost zero.
    Clamped coordinates look up the same border pixel, or nothing. Reflected coordinates are not
    changed: so far out, they depend on how each library rounds.
    """
    if padding_mode == "reflection":
        return NotImplemented
    near = grid.clamp(-FAR, FAR)
    if mode == "nearest" and padding_mode == "zeros":
        near = torch.where(grid.isnan(), FAR, near)
    found = functional.grid_sample(x, near, mode, padding_mode, align_corners)
    if mode == "nearest" or (mode == "bilinear" and padding_mode == "border"):
        return found
    # PyTorch weighs the pixels around, and the weights of NaN and infinity are NaN.
    return found + (grid - grid).sum(-1).unsqueeze(1)


def grid_sampler(
    x: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """Decompose ``torch.grid_sampler``, which ``F.grid_sample`` calls with numbered modes."""
    mode = ("bilinear", "nearest", "bicubic")[interpolation_mode]
    padding = ("zeros", "border", "reflection")[padding_mode]
    return grid_sample(x, grid, mode, padding, align_corners)


def _nearest(x: Tensor, size: Any, scale_factor: Any, mode: str, *, again: bool) -> Any:
    """Resize by looking up each element's source, at the index that PyTorch computes in float32.

    onnxruntime 1.32's ``Resize`` divides by a scale where PyTorch multiplies by its inverse, and so
    picks the neighbour at some places (13 to 64: one element in 64). No exporter of torch 2.14.1
    writes ``nearest-exact``. Only powers of two are exact in both.
    """
    count = x.dim() - 2
    factors = _each(scale_factor, count)
    if mode == "nearest" and not again and all(map(_is_power_of_two, factors)):
        return NotImplemented
    sizes = _each(size, count)
    for axis in range(count):
        if again or factors[axis] != 1:
            x = _looked_up(x, axis + 2, sizes[axis], factors[axis], mode, again=again)
    return x


def _is_power_of_two(factor: Any) -> bool:
    return isinstance(factor, int | float) and factor >= 1 and math.frexp(factor)[0] == 0.5


def _looked_up(x: Tensor, axis: int, size: Any, factor: Any, mode: str, *, again: bool) -> Tensor:
    """Return one axis resized to its new size."""
    side = x.shape[axis]
    wanted = _scaled(side, factor) if size is None else size
    place = torch.arange(wanted, device=x.device)
    old, new = _number(side), _number(wanted)
    by_factor = size is None and not again
    scale = torch.scalar_tensor(1 / factor).float() if by_factor else old.float() / new.float()
    if mode == "nearest":
        source = (place.float() * scale).floor().long()
    else:
        source = ((place.double() + 0.5) * scale.double()).float().floor().long()
    if by_factor and mode == "nearest":  # PyTorch ignores the scale if the size stays or doubles
        source = torch.where(new == 2 * old, torch.floor_divide(place, 2), source)
        source = torch.where(new == old, place, source)
    return x.index_select(axis, torch.minimum(source, old - 1))


def _scaled(side: Any, factor: float) -> Any:
    """Return a size times a factor, as PyTorch computes it: in float64, rounded down."""
    if isinstance(side, Tensor):
        return (side.double() * factor).floor().long()
    return math.floor(side * factor)


def _number(size: Any) -> Tensor:
    return size if isinstance(size, Tensor) else torch.scalar_tensor(size, dtype=torch.int64)


def _antialiased(x: Tensor, size: Any, scale_factor: Any, options: dict[str, Any]) -> Any:
    """Resize by matrices, made by PyTorch from the identity; ONNX ``Resize`` has other weights."""
    sides = [fixed_size(x, axis) for axis in (-2, -1)]
    if not _get_tracing_state() or None in sides:
        return NotImplemented
    sizes, factors = _each(size, 2), _each(scale_factor, 2)
    tall, wide = (
        _resampling(int(side or 0), known, factor, options)
        for side, known, factor in zip(sides, sizes, factors, strict=True)
    )
    return tall @ x @ wide.T


def _resampling(side: int, size: Any, factor: Any, options: dict[str, Any]) -> Tensor:
    """Return the matrix that resamples one axis; a constant of the trace."""
    where = {"scale_factor": (float(factor), 1.0)} if size is None else {"size": (int(size), side)}
    tracing = _get_tracing_state()
    _set_tracing_state(None)
    try:
        return functional.interpolate(torch.eye(side)[None, None], **where, **options)[0, 0]
    finally:
        _set_tracing_state(tracing)


def _each(given: Any, count: int) -> Sequence[Any]:
    return tuple(given) if isinstance(given, list | tuple) else (given,) * count
