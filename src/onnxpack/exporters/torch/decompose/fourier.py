"""Decompose transforms of an axis that varies, cut or padded to a given length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def of_length(plain: Callable[..., Tensor]) -> Callable[..., Any]:
    """Return ``torch.fft.rfft(x, n)`` that first brings the axis to length ``n`` by lookups.

    ``torch.export`` of torch 2.14.1 compares ``n`` with the axis, which fixes whether the axis is
    cut.
    """

    def transform(x: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
        size: Any = x.shape[dim]
        if n is None or x.is_complex() or size is n:
            return NotImplemented
        length = size if isinstance(size, Tensor) else torch.scalar_tensor(size, dtype=torch.int64)
        place = torch.arange(n, device=x.device)
        found = x.index_select(dim, torch.minimum(place, length - 1))
        shape = [1] * x.dim()
        shape[dim] = n
        return plain(torch.where((place < length).reshape(shape), found, 0), None, dim, norm)

    return transform
