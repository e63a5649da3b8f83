"""torchvision's regions of interest: no index may read outside of memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

OPERATORS = ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool")


@contextmanager
def regions_inside() -> Iterator[None]:
    """Let the operators take the nearest picture for a box of one that is not in the batch.

    The kernels of torchvision 0.29 look at no index: boxes as the proof makes them up, scaled or
    negated, would read foreign memory or end the process. The model has no answer there, so the
    proof asks it for the one that the graph gives.
    """
    if "torchvision" not in sys.modules:
        yield
        return
    operators = vars(torch.ops.torchvision)
    plain = {name: getattr(torch.ops.torchvision, name) for name in OPERATORS}
    try:
        operators.update({name: _Inside(operator) for name, operator in plain.items()})
        yield
    finally:
        operators.update(plain)


class _Inside:
    """An operator of torchvision whose boxes are looked at first; in all else the operator."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def __call__(
        self, pictures: torch.Tensor, boxes: torch.Tensor, *args: Any, **options: Any
    ) -> Any:
        return self._plain(pictures, with_known_pictures(boxes, pictures), *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


def with_known_pictures(boxes: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """The boxes, each of a picture that is in the batch: the nearest, and the first for NaN."""
    count: Any = pictures.shape[0]
    size = count if isinstance(count, torch.Tensor) else torch.scalar_tensor(count)
    index = torch.minimum(boxes[:, :1].clamp(min=0), (size - 1).to(boxes.dtype))
    return torch.cat([torch.where(index.isnan(), 0.0, index), boxes[:, 1:]], 1)
