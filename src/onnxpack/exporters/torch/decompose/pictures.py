"""Decompose torchvision's crops and regions of pictures whose size and number vary."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onnxpack.exporters.torch.patch.regions import with_known_pictures


def center_crop(plain: Any) -> Any:
    """Return a ``center_crop`` that makes no decision by the picture's size.

    torchvision 0.29 pads if the picture is smaller, and rounds half of the rest with Python's
    ``round``. A graph would keep that branch and that integer from its sample.
    """

    def crop(image: Any, output_size: Any) -> Any:
        if not isinstance(image, Tensor) or image.is_complex():
            return plain(image, output_size)
        given = output_size if isinstance(output_size, list | tuple) else (output_size,)
        tall, wide = (given[0], given[-1])
        return _middle(_middle(image, -2, int(tall)), -1, int(wide))

    return crop


def _middle(image: Tensor, axis: int, wanted: int) -> Tensor:
    """Return the middle of one axis, padded with zeros if the axis is too short."""
    side: Any = image.shape[axis]
    size = side if isinstance(side, Tensor) else torch.scalar_tensor(side, dtype=torch.int64)
    rest = size - wanted
    half = torch.floor_divide(rest, 2)
    # Python rounds half of an odd number to the even neighbour; padding rounds down.
    start = torch.where(rest < 0, -torch.floor_divide(-rest, 2), half + (rest % 2) * (half % 2))
    place = torch.arange(wanted, device=image.device) + start
    inside = (place >= 0) & (place < size)
    found = image.index_select(axis, torch.minimum(place.clamp(min=0), size - 1))
    shape = (-1, 1) if axis == -2 else (-1,)
    return torch.where(inside.reshape(shape), found, torch.zeros((), dtype=image.dtype))


def region(name: str) -> Any:
    """Return a region pool that keeps the picture numbers of boxes within the batch.

    Neither torchvision 0.29 nor onnxruntime 1.32 checks the index of a box before reading memory,
    and no input may end a server's process.
    """

    def pool(pictures: Tensor, boxes: Tensor, *args: Any, **options: Any) -> Any:
        plain = getattr(torch.ops.torchvision, name)
        return plain(pictures, with_known_pictures(boxes, pictures), *args, **options)

    return pool
