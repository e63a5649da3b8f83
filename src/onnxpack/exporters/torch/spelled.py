"""Operators that ONNX lacks, spelled out by operators that it has.

They stand in while a model is traced or exported, and never while it is asked: so the proof
holds each of them against PyTorch's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class SpelledOut(TorchFunctionMode):
    """Puts the functions of this module in the place of torch's."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        spelled = SPELLED.get(getattr(func, "__name__", ""))
        if spelled is None:
            return func(*args, **(kwargs or {}))
        answer = spelled(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {})) if answer is NotImplemented else answer


def _cummax(x: Tensor, dim: int) -> Any:
    return _named("cummax", _running(x, dim, torch.amax, _lowest(x)))


def _cummin(x: Tensor, dim: int) -> Any:
    return _named("cummin", _running(x, dim, torch.amin, _highest(x)))


def _running(
    x: Tensor, dim: int, best: Callable[..., Tensor], filler: float
) -> tuple[Tensor, Tensor]:
    """The best so far, and the last place at which it stands."""
    last = x.movedim(dim, -1)
    seen, place = _seen(last)
    table = torch.where(seen, last.unsqueeze(-2), filler)
    values = best(table, -1)
    found = (table == values.unsqueeze(-1)) & seen
    places = torch.where(found, place, -1).amax(-1)
    return values.movedim(-1, dim), places.movedim(-1, dim)


def _named(name: str, pair: Sequence[Tensor]) -> Any:
    """The pair that torch answers with: ``.values`` and ``.indices``."""
    return getattr(torch.return_types, name)(tuple(pair))


def _squeezed(found: Sequence[Tensor], dim: int, keepdim: bool) -> Sequence[Tensor]:
    return found if keepdim else [part.squeeze(dim) for part in found]


def _cumprod(x: Tensor, dim: int, *, dtype: torch.dtype | None = None) -> Tensor:
    last = (x if dtype is None else x.to(dtype)).movedim(dim, -1)
    seen, _ = _seen(last)
    return torch.where(seen, last.unsqueeze(-2), 1).prod(-1).movedim(-1, dim)


def _seen(last: Tensor) -> tuple[Tensor, Tensor]:
    """Which elements of the last axis stand at or before each, and their places."""
    place = torch.arange(last.shape[-1], device=last.device)
    return place <= place.unsqueeze(-1), place


def _lowest(x: Tensor) -> float:
    return -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min


def _highest(x: Tensor) -> float:
    return torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).max


def _kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    values, places = x.topk(k, dim=dim, largest=False)
    found = [part.narrow(dim, k - 1, 1) for part in (values, places)]
    return _named("kthvalue", _squeezed(found, dim, keepdim))


def _median(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    if dim is None:
        return _median(x.flatten(), 0).values
    values, places = x.sort(dim)
    middle = torch.arange(x.shape[dim], device=x.device)[(x.shape[dim] - 1) // 2].reshape(1)
    found = [part.index_select(dim, middle) for part in (values, places)]
    if x.is_floating_point():
        found[0] = torch.where(x.isnan().any(dim, keepdim=True), torch.nan, found[0])
    return _named("median", _squeezed(found, dim, keepdim))


def _mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """The smallest of the most frequent values, and the last place at which it stands."""
    last = x.movedim(dim, -1)
    count = (last.unsqueeze(-1) == last.unsqueeze(-2)).sum(-1)
    frequent = count == count.amax(-1, keepdim=True)
    values = torch.where(frequent, last, _highest(x)).amin(-1, keepdim=True)
    place = torch.arange(last.shape[-1], device=x.device)
    places = torch.where(last == values, place, -1).amax(-1, keepdim=True)
    found = [part.movedim(-1, dim) for part in (values, places)]
    return _named("mode", _squeezed(found, dim, keepdim))


def _sort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
    """ONNX's TopK is stable by itself."""
    return torch.sort(x, dim, descending) if stable else NotImplemented


def _argsort(
    x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None
) -> Any:
    return torch.argsort(x, dim, descending) if stable else NotImplemented


def _hypot(x: Tensor, other: Tensor) -> Tensor:
    larger, smaller = torch.maximum(x.abs(), other.abs()), torch.minimum(x.abs(), other.abs())
    ratio = torch.where((larger == 0) | larger.isinf(), 0, smaller / larger)
    return larger * (1 + ratio * ratio).sqrt()


def _searchsorted(
    boundaries: Tensor,
    x: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Any:
    if sorter is not None or not isinstance(x, Tensor):
        return NotImplemented
    ordered = boundaries if boundaries.dim() == 1 else boundaries.unsqueeze(-2)
    wanted = x.unsqueeze(-1)
    below = ordered <= wanted if right or side == "right" else ordered < wanted
    return below.sum(-1, dtype=torch.int32 if out_int32 else torch.int64)


def _bucketize(x: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Any:
    return _searchsorted(boundaries, x, out_int32=out_int32, right=right)


def _fmax(x: Tensor, other: Tensor) -> Tensor:
    return torch.where(x.isnan(), other, torch.where(other.isnan(), x, torch.maximum(x, other)))


def _fmin(x: Tensor, other: Tensor) -> Tensor:
    return torch.where(x.isnan(), other, torch.where(other.isnan(), x, torch.minimum(x, other)))


def _isin(x: Any, known: Any, *, invert: bool = False, **_: bool) -> Any:
    if not isinstance(x, Tensor) or not isinstance(known, Tensor):
        return NotImplemented
    found = (x.unsqueeze(-1) == known.flatten()).any(-1)
    return ~found if invert else found


def _scatter_reduce(
    x: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Any:
    if reduce != "mean":
        return NotImplemented
    ones = torch.ones_like(source)
    hit = torch.zeros_like(x).scatter_add(dim, index, ones)
    own = torch.ones_like(x) if include_self else (hit == 0).to(x.dtype)
    return (x * own).scatter_add(dim, index, source) / (hit + own)


def _kron(x: Tensor, other: Tensor) -> Any:
    if x.dim() != other.dim():
        return NotImplemented
    for axis in range(x.dim()):
        x, other = x.unsqueeze(2 * axis + 1), other.unsqueeze(2 * axis)
    product = x * other
    for axis in range(product.dim() // 2):
        product = product.flatten(axis, axis + 1)
    return product


def _take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Any:
    if dim is None or x.dtype is torch.bool:
        return NotImplemented
    wide = x + torch.zeros_like(indices.narrow(dim, 0, 1), dtype=x.dtype)
    return wide.gather(dim, indices + torch.zeros_like(x.narrow(dim, 0, 1), dtype=indices.dtype))


def _index_put(
    x: Tensor, indices: tuple[Tensor, ...], values: Tensor, accumulate: bool = False
) -> Any:
    if not accumulate or len(indices) != 1 or indices[0].dtype is torch.bool:
        return NotImplemented
    index = torch.where(indices[0] < 0, indices[0] + x.shape[0], indices[0])
    added = values + torch.zeros_like(x.index_select(0, index.flatten()))
    return x.index_add(0, index.flatten(), added) if index.dim() == 1 else NotImplemented


def _unique_consecutive(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    if return_inverse or return_counts or dim is not None:
        return NotImplemented
    flat = x.flatten()
    first = torch.ones_like(flat[:1], dtype=torch.bool)
    return flat[torch.cat([first, flat[1:] != flat[:-1]])]


SPELLED: dict[str, Callable[..., Any]] = {
    "argsort": _argsort,
    "bucketize": _bucketize,
    "cummax": _cummax,
    "cummin": _cummin,
    "cumprod": _cumprod,
    "fmax": _fmax,
    "fmin": _fmin,
    "hypot": _hypot,
    "index_put": _index_put,
    "isin": _isin,
    "kron": _kron,
    "kthvalue": _kthvalue,
    "median": _median,
    "mode": _mode,
    "scatter_reduce": _scatter_reduce,
    "searchsorted": _searchsorted,
    "sort": _sort,
    "take_along_dim": _take_along_dim,
    "unique_consecutive": _unique_consecutive,
}
