"""Decompose embedding bags with offsets, whose loops in a graph give no answer for empty bags."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def embedding_bag(
    ids: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,  # noqa: ARG001 - by position
    scale_grad_by_freq: bool = False,  # noqa: ARG001
    mode: str = "mean",
    sparse: bool = False,  # noqa: ARG001
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Decompose ``torch.nn.functional.embedding_bag`` of ids in one row; an empty bag is 0.

    The exporters write a loop over bags (torch 2.14), which slices the ids: of an empty slice the
    mean is NaN and the maximum minus infinity.
    """
    if ids.dim() != 1 or offsets is None or max_norm is not None:
        return NotImplemented
    starts = offsets[:-1] if include_last_offset else offsets
    place = torch.arange(ids.shape[0], device=ids.device)
    bag = (place.unsqueeze(1) >= starts).sum(1) - 1
    rows = weight[ids]
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    index = bag.unsqueeze(1).expand_as(rows)
    nothing = torch.zeros(starts.shape[0], weight.shape[1], dtype=rows.dtype, device=rows.device)
    counted = torch.ones_like(rows)
    if padding_idx is not None:
        counted = counted * (ids != padding_idx % weight.shape[0]).unsqueeze(1)
    count = nothing.scatter_add(0, index, counted)
    if mode == "max":
        lowest = torch.where(counted > 0, rows, -torch.inf)
        largest = (nothing - torch.inf).scatter_reduce(0, index, lowest, "amax")
        return torch.where(count > 0, largest, 0)
    total = nothing.scatter_add(0, index, torch.where(counted > 0, rows, 0))
    return total if mode == "sum" else total / count.clamp(min=1)
