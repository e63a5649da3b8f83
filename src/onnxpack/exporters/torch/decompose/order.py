"""Decompose sorts, medians and running values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def cummax(x: Tensor, dim: int) -> Any:
    """Decompose ``torch.cummax``, with its indices."""
    return _named("cummax", _running(x, dim, torch.amax, _lowest(x)))


def cummin(x: Tensor, dim: int) -> Any:
    """Decompose ``torch.cummin``, with its indices."""
    return _named("cummin", _running(x, dim, torch.amin, _highest(x)))


def _running(
    x: Tensor, dim: int, best: Callable[..., Tensor], filler: float
) -> tuple[Tensor, Tensor]:
    """Return the best value so far, and the last index at which it occurs."""
    if x.dtype is torch.bool:  # ONNX Runtime reduces no bools
        values, places = _running(x.to(torch.int32), dim, best, int(filler))
        return values.to(torch.bool), places
    last = _last(x, dim)
    seen, place = _seen(last)
    table = torch.where(seen, last.unsqueeze(-2), filler)
    values = best(table, -1)
    found = (table == values.unsqueeze(-1)) & seen
    places = torch.where(found, place, -1).amax(-1)
    return _back(values, dim), _back(places, dim)


def _named(name: str, pair: Sequence[Tensor]) -> Any:
    """Return the pair as torch's named result, with ``.values`` and ``.indices``."""
    return getattr(torch.return_types, name)(tuple(pair))


def _squeezed(found: Sequence[Tensor], dim: int, keepdim: bool) -> Sequence[Tensor]:
    return found if keepdim else [part.squeeze(dim) for part in found]


def cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    """Decompose ``torch.cumprod``: each product from the start."""
    last = _last(x if dtype is None else x.to(dtype), dim)
    seen, _ = _seen(last)
    return _back(torch.where(seen, last.unsqueeze(-2), 1).prod(-1), dim)


def logcumsumexp(x: Tensor, dim: int) -> Tensor:
    """Decompose ``torch.logcumsumexp``: each sum from the start, relative to its own maximum."""
    last = _last(x, dim)
    seen, _ = _seen(last)
    return _back(torch.where(seen, last.unsqueeze(-2), -torch.inf).logsumexp(-1), dim)


def _seen(last: Tensor) -> tuple[Tensor, Tensor]:
    """Return a mask of the elements at or before each place, and the indices of the places."""
    place = torch.arange(last.shape[-1], device=last.device)
    return place <= place.unsqueeze(-1), place


def _last(x: Tensor, dim: int) -> Tensor:
    """Return the tensor with the axis moved to the end.

    The TorchScript exporter of torch 2.14.1 writes negative axes into Transpose, which has none.
    """
    return x.movedim(dim % x.dim(), x.dim() - 1)


def _back(x: Tensor, dim: int) -> Tensor:
    """Return the tensor with the last axis moved back to its place."""
    return x.movedim(x.dim() - 1, dim % x.dim())


def _lowest(x: Tensor) -> float:
    if x.dtype is torch.bool:
        return 0
    return -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min


def _highest(x: Tensor) -> float:
    if x.dtype is torch.bool:
        return 1
    return torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).max


def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """Decompose ``torch.kthvalue``: the last of the k smallest values."""
    values, places = x.topk(k, dim=dim, largest=False)
    found = [part.narrow(dim, k - 1, 1) for part in (values, places)]
    return _named("kthvalue", _squeezed(found, dim, keepdim))


def median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Decompose ``torch.median``: the lower one of two; NaN if there is any NaN."""
    if dim is None:
        return median(x.flatten(), 0).values
    values, places = x.sort(dim)
    count: Any = x.shape[dim]
    size = count if isinstance(count, Tensor) else torch.scalar_tensor(count, dtype=torch.int64)
    middle = torch.floor_divide(size - 1, 2).reshape(1)
    found = [part.index_select(dim, middle) for part in (values, places)]
    if x.is_floating_point():
        found[0] = torch.where(x.isnan().any(dim, keepdim=True), torch.nan, found[0])
    return _named("median", _squeezed(found, dim, keepdim))


def mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """Decompose ``torch.mode``: the smallest of the most frequent values, and its last index."""
    last = _last(x, dim)
    count = (last.unsqueeze(-1) == last.unsqueeze(-2)).sum(-1)
    frequent = count == count.amax(-1, keepdim=True)
    values = torch.where(frequent, last, _highest(x)).amin(-1, keepdim=True)
    place = torch.arange(last.shape[-1], device=x.device)
    places = torch.where(last == values, place, -1).amax(-1, keepdim=True)
    found = [_back(part, dim) for part in (values, places)]
    return _named("mode", _squeezed(found, dim, keepdim))


def sort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
    """Decompose a stable ``torch.sort``: ONNX's TopK is always stable."""
    return torch.sort(x, dim, descending) if stable else NotImplemented


def argsort(
    x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None
) -> Any:
    """Decompose a stable ``torch.argsort``: ONNX's TopK is always stable."""
    return torch.argsort(x, dim, descending) if stable else NotImplemented


def searchsorted(
    boundaries: Tensor,
    x: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Any:
    """Decompose ``torch.searchsorted``: count the boundaries below; NaN is above all of them.

    No exporter of torch 2.14.1 writes it.
    """
    if sorter is not None or not isinstance(x, Tensor):
        return NotImplemented
    ordered = boundaries if boundaries.dim() == 1 else boundaries.unsqueeze(-2)
    wanted = x.unsqueeze(-1)
    below = ~(ordered > wanted if right or side == "right" else ordered >= wanted)
    return below.sum(-1, dtype=torch.int32 if out_int32 else torch.int64)


def bucketize(x: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Any:
    """Decompose ``torch.bucketize``: count the boundaries below."""
    return searchsorted(boundaries, x, out_int32=out_int32, right=right)


def unique_consecutive(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Decompose ``torch.unique_consecutive``: keep elements that differ from the previous one."""
    if return_inverse or return_counts or dim is not None:
        return NotImplemented
    flat = x.flatten()
    first = torch.ones_like(flat[:1], dtype=torch.bool)
    return flat[torch.cat([first, flat[1:] != flat[:-1]])]
