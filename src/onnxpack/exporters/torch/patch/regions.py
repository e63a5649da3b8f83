"""Keep torchvision's region operators from reading outside of memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

OPERATORS = ("roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool")


@contextmanager
def regions_inside() -> Iterator[None]:
    """Make the operators use the nearest picture if a box's picture number is not in the batch.

    The kernels of torchvision 0.29 do not check the index. Boxes that the proof has scaled or
    negated would read foreign memory or end the process. The model has no answer there, so the
    proof makes it answer as the graph does.
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
    """An operator of torchvision that first corrects the picture numbers of its boxes."""

    def __init__(self, plain: Any) -> None:
        self._plain = plain

    def __call__(
        self, pictures: torch.Tensor, boxes: torch.Tensor, *args: Any, **options: Any
    ) -> Any:
        return self._plain(pictures, with_known_pictures(boxes, pictures), *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


def with_known_pictures(boxes: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """Return the boxes with picture numbers moved to the nearest in the batch; 0 for NaN."""
    count: Any = pictures.shape[0]
    size = count if isinstance(count, torch.Tensor) else torch.scalar_tensor(count)
    index = torch.minimum(boxes[:, :1].clamp(min=0), (size - 1).to(boxes.dtype))
    return torch.cat([torch.where(index.isnan(), 0.0, index), boxes[:, 1:]], 1)
