"""Replace sparse matrices by dense ones, which ONNX supports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._C import (  # type: ignore[attr-defined]
    _get_tracing_state,
    _set_tracing_state,
)


def product(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return a product that also accepts a matrix that the model keeps sparse."""

    def spelled(x: Tensor, other: Tensor, *more: Any) -> Any:
        if more or not x.is_sparse:
            return plain(x, other, *more)
        return torch.matmul(_dense(x), other)

    return spelled


def matmul(x: Tensor, other: Tensor) -> Tensor:
    """Decompose ``torch.sparse.mm`` into a dense product."""
    return torch.matmul(_dense(x), other)


def stay(x: Tensor, *_: Any, **__: Any) -> Any:
    """Return a dense tensor for ``to_sparse`` and ``to_dense``."""
    return _dense(x)


def from_places(places: Any, values: Any, size: Any = None, **_: Any) -> Any:
    """Decompose ``torch.sparse_coo_tensor``: values with one index are added up."""
    if size is None or not isinstance(places, Tensor) or not isinstance(values, Tensor):
        return NotImplemented
    whole = torch.zeros(*size, dtype=values.dtype)
    return whole.index_put(tuple(places.unbind(0)), values, accumulate=True)


def _dense(x: Tensor) -> Tensor:
    if not x.is_sparse:
        return x
    tracing = _get_tracing_state()
    _set_tracing_state(None)
    try:
        return x.to_dense()
    finally:
        _set_tracing_state(tracing)
