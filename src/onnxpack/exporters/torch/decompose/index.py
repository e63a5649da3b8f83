"""Decompose lookups, writes and sums at indices, and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from onnxpack.errors import ExportError


def isin(x: Any, known: Any, *, invert: bool = False, **_: bool) -> Any:
    """Decompose ``torch.isin`` by comparing each element with each known one."""
    if not isinstance(x, Tensor) or not isinstance(known, Tensor):
        return NotImplemented
    found = (x.unsqueeze(-1) == known.flatten()).any(-1)
    return ~found if invert else found


def scatter_reduce(
    x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Any:
    """Decompose ``torch.scatter_reduce`` for cases that ONNX lacks.

    ScatterElements has no mean, and always includes the existing values. For ``include_self=False``
    the exporters of torch 2.14.1 refuse, or give 0 for a largest value of -inf.
    """
    if reduce == "mean":
        hit = torch.zeros_like(x).scatter_add(dim, index, torch.ones_like(source))
        own = torch.ones_like(x) if include_self else (hit == 0).to(x.dtype)
        return (x * own).scatter_add(dim, index, source) / (hit + own)
    if include_self:
        return NotImplemented
    ones = torch.ones_like(source, dtype=torch.int64)
    hit = torch.zeros_like(x, dtype=torch.int64).scatter_add(dim, index, ones)
    start = torch.full_like(x, _neutral(reduce, x.dtype))
    return torch.where(hit > 0, start, x).scatter_reduce(dim, index, source, reduce)


def _neutral(reduce: str, dtype: torch.dtype) -> float:
    """Return the value that a reduction starts from."""
    if reduce in ("sum", "prod"):
        return float(reduce == "prod")
    if dtype.is_floating_point:
        return math.inf if reduce == "amin" else -math.inf
    known = torch.iinfo(dtype)
    return known.max if reduce == "amin" else known.min


def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Any:
    """Decompose ``torch.take_along_dim`` with both tensors expanded to each other's shape."""
    if dim is None or x.dtype is torch.bool:
        return NotImplemented
    wide = x + torch.zeros_like(indices.narrow(dim, 0, 1), dtype=x.dtype)
    return wide.gather(dim, indices + torch.zeros_like(x.narrow(dim, 0, 1), dtype=indices.dtype))


def index_put(
    x: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False
) -> Any:
    """Decompose ``torch.index_put``, which may add up several values at one place.

    The TorchScript exporter of torch 2.14.1 scatters into zeros and adds, so that of several
    values for one place the last one counts; with a mask it does not add at all. It also expects
    values of the full shape.
    """
    if any(index.dtype is torch.bool for index in indices):
        return _put_by_mask(x, indices, values) if accumulate else NotImplemented
    shape = torch.broadcast_shapes(*(index.shape for index in indices))  # type: ignore[no-untyped-call]
    rest = x.shape[len(indices) :]
    whole = values.to(x.dtype).expand(*shape, *rest)
    if not accumulate:
        return x.index_put([index.expand(shape) for index in indices], whole)
    place = torch.zeros(shape, dtype=torch.int64, device=x.device)
    outside = torch.zeros(shape, dtype=torch.bool, device=x.device)
    for axis, index in enumerate(indices):
        size = x.shape[axis]
        outside = outside | (index < -size) | (index >= size)
        place = place * size + torch.where(index < 0, index + size, index)
    flat = x.reshape(-1, *rest).unsqueeze(1).flatten(1)
    # An index outside of its axis may be inside of the flattened ones: it has to stay an error.
    place = torch.where(outside, flat.shape[0], place)
    added = whole.reshape(-1, *rest).unsqueeze(1).flatten(1)
    where = place.reshape(-1, 1) + torch.zeros_like(added, dtype=place.dtype)
    return flat.scatter_add(0, where, added).reshape(x.shape)


def _put_by_mask(x: Tensor, indices: Sequence[Tensor], values: Tensor) -> Any:
    """Add values where a mask is set; each place occurs only once."""
    if len(indices) > 1:
        raise ExportError("index_put_(accumulate=True) with masks and indices has no ONNX form")
    mask = indices[0]
    if values.dim() == 0:
        return torch.where(mask.reshape(*mask.shape, *[1] * (x.dim() - mask.dim())), x + values, x)
    return x.index_put((mask,), x[mask] + values)


def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Any:
    """Decompose ``torch.index_add``; a place that occurs several times is added to each time."""
    if source.dim() != x.dim() or index.dim() != 1:
        return NotImplemented
    shape = [1] * x.dim()
    shape[dim] = -1
    places = index.long().view(shape) + torch.zeros_like(source, dtype=torch.int64)
    return x.scatter_add(dim, places, source if alpha == 1 else source * alpha)


def embedding(
    ids: Tensor,
    weight: Tensor,
    padding_idx: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    *_: Any,
    **__: Any,
) -> Any:
    """Decompose ``F.embedding`` with ``max_norm``, by shortening all rows beforehand."""
    if max_norm is None:
        return NotImplemented
    return functional.embedding(ids, torch.renorm(weight, norm_type, 0, max_norm), padding_idx)


def windows(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Decompose ``Tensor.unfold``, for any number of windows."""
    axis = dimension % x.dim()
    count = (x.shape[axis] - size) // step + 1
    starts = torch.arange(count, device=x.device) * step
    places = starts.unsqueeze(1) + torch.arange(size, device=x.device)
    found = x.index_select(axis, places.flatten())
    shape = (*x.shape[:axis], count, size, *x.shape[axis + 1 :])
    return found.reshape(shape).movedim(axis + 1, x.dim())


def fill_diagonal(x: Tensor, value: float, wrap: bool = False) -> Any:
    """Decompose ``Tensor.fill_diagonal_``, in place like the original."""
    if x.dim() != 2 or wrap:
        return NotImplemented
    rows, columns = (torch.arange(size, device=x.device) for size in x.shape)
    return x.copy_(torch.where(rows.unsqueeze(1) == columns, value, x))


def triu_indices(row: Any, col: Any, offset: int = 0, **_: Any) -> Tensor:
    """Return the indices of the upper triangle of a matrix of any size."""
    return torch.ones(row, col).triu(offset).nonzero().T


def tril_indices(row: Any, col: Any, offset: int = 0, **_: Any) -> Tensor:
    """Return the indices of the lower triangle of a matrix of any size."""
    return torch.ones(row, col).tril(offset).nonzero().T
