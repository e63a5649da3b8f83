"""Support torchvision's detectors, which take a list of pictures and may find nothing.

``BoxCoder.decode`` skips a reshape without boxes. A trace cannot skip it, and the reshape fails in
that case.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from onnxpack.exporters.replaced import replaced

PACKAGE = "torchvision.models.detection"
MODULE = f"{PACKAGE}._utils"
PICTURE_RANK = 3


def listed_pictures(model: Any, sample: Any) -> Any:
    """Return the list of pictures for a detector, from one picture or from a batch.

    A picture has the axes ``[channels, height, width]``.
    """
    rank = getattr(sample, "ndim", None)
    if rank not in (PICTURE_RANK, PICTURE_RANK + 1) or not is_detector(model):
        return sample
    return [sample] if rank == PICTURE_RANK else list(sample)


def is_detector(model: Any) -> bool:
    """Return whether the model is a detector of torchvision, or of a class derived from one."""
    return any(kind.__module__.startswith(PACKAGE) for kind in type(model).__mro__)


def has_no_order(model: Any) -> bool:
    """Return whether the rows of a model's answer have no order.

    They have none if the model is a detector with torchvision's own ``forward``. The ``forward`` of
    a derived class may sort, number or track what it finds.
    """
    forward = getattr(model.forward, "__func__", None)
    return is_detector(model) and str(getattr(forward, "__module__", "")).startswith(PACKAGE)


@contextmanager
def boxes_may_lack() -> Iterator[None]:
    """Decode boxes in a way that also works without boxes, while a detector is traced."""
    utils = sys.modules.get(MODULE)
    if utils is None:
        yield
        return
    with replaced(utils.BoxCoder, "decode", _decode):
        yield


def _decode(self: Any, rel_codes: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    decoded: Tensor = self.decode_single(rel_codes, torch.cat(list(boxes), dim=0))
    return decoded.reshape(decoded.shape[0], int(rel_codes.shape[1]) // 4, 4)
