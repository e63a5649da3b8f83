"""Sizes that a form of the exporter would freeze, where the model takes only few other sizes.

A valid convolution needs many pixels and a table of positions ends soon after the sample, so that
no case of the proof has other feature sizes than the sample has.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from tests.hostile.given import Collection, randn
from torch import Tensor, nn
from torch.nn import functional

collection = Collection()
kind = "sizes-windows"
SAMPLE = randn(1, 3, 72, 72)
PROBES = [
    randn(2, 3, rows, columns, seed=at)
    for at, (rows, columns) in enumerate([(72, 80), (80, 72), (64, 72), (56, 56), (80, 80)])
]
AXES = {"x": {2: "rows", 3: "columns"}}


class Features(nn.Module):
    """Adds learnt positions, and computes features of a ninth of the size."""

    then: Callable[[Tensor], Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.ReLU(), nn.Conv2d(8, 8, 5))
        self.positions = nn.Parameter(torch.randn(1, 3, 85, 85) / 4)

    def forward(self, x: Tensor) -> Tensor:
        placed = x + self.positions[:, :, : x.shape[2], : x.shape[3]]
        return type(self).then(self.features(placed))


@collection.module(kind, SAMPLE, PROBES, proven=True, dynamic=AXES)
class AveragedWindows(Features):
    then = staticmethod(lambda x: functional.adaptive_avg_pool2d(x, 2))


@collection.module(kind, SAMPLE, PROBES, proven=True, dynamic=AXES)
class LargestOfWindows(Features):
    then = staticmethod(lambda x: functional.adaptive_max_pool2d(x, (2, 1)))


@collection.module(kind, SAMPLE, PROBES, proven=True, dynamic=AXES)
class SpreadOfPixels(Features):
    then = staticmethod(lambda x: x.std((2, 3)))


@collection.module(kind, SAMPLE, PROBES, proven=True, dynamic=AXES)
class Patches(Features):
    then = staticmethod(lambda x: functional.unfold(x, 2).mean(-1))


@collection.module(kind, SAMPLE, PROBES, proven=True, dynamic=AXES)
class TwiceAsLarge(Features):
    then = staticmethod(lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"))


@collection.module(kind, SAMPLE, PROBES, proven=True, dynamic=AXES)
class MedianPixel(Features):
    then = staticmethod(lambda x: x.flatten(2).median(-1).values)


@collection.module(kind, SAMPLE, PROBES, proven=True, dynamic=AXES)
class LastRows(Features):
    then = staticmethod(lambda x: x.flip(2).cumsum(2).mean((2, 3)))
