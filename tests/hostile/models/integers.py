"""A size becomes an integer of an operator: nothing is asked, and the graph keeps the number."""

from __future__ import annotations

import math

import torch
from tests.hostile.given import Collection, randn, sizes
from torch import Tensor, nn
from torch.nn import functional as F

collection = Collection()
operators = "sizes-in-operators"

LONG = {"dynamic": {"x": {2: "time"}}}
WIDE = {"dynamic": {"x": {1: "width"}}}
PICTURE = {"dynamic": {"x": {2: "height", 3: "width"}}}
SIGNAL = randn(2, 3, 16)
SIGNALS = sizes(2, 3, None, of=(8, 31, 32, 70))
ROWS, ROWS_PROBES = randn(2, 16), sizes(2, None, of=(9, 16, 20, 33))
IMAGE = randn(2, 3, 16, 20)
IMAGES = [randn(2, 3, h, w, seed=h) for h, w in ((8, 20), (33, 17), (40, 64))]


class Conv(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, padding=1)


@collection.module(operators, SIGNAL, SIGNALS, **LONG)
class PoolByLength(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool1d(self.conv(x), x.shape[-1] // 16 + 1)


@collection.module(operators, SIGNAL, SIGNALS, **LONG)
class StrideByLength(Conv):
    def forward(self, x: Tensor) -> Tensor:
        stride = max(1, x.size(-1) // 16)
        return F.conv1d(x, self.conv.weight, stride=stride)


@collection.module(operators, SIGNAL, SIGNALS, **LONG)
class DilationByLength(Conv):
    """The receptive field grows with the length, as in some WaveNets."""

    def forward(self, x: Tensor) -> Tensor:
        dilation = 1 << max(0, int(math.log2(x.shape[2])) - 3)
        return F.conv1d(x, self.conv.weight, padding=dilation, dilation=dilation)


@collection.module(operators, SIGNAL, SIGNALS, **LONG)
class PadsToAMultiple(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, -x.shape[-1] % 8)))


@collection.module(operators, SIGNAL, SIGNALS, **LONG)
class ReflectsHalf(Conv):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (x.shape[-1] // 4, 0), mode="reflect"))


@collection.module(operators, SIGNAL, SIGNALS, **LONG)
class GlobalByKernel(Conv):
    """Global pooling, written as a kernel of the whole length."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return F.max_pool1d(y, kernel_size=y.shape[-1]).squeeze(-1)


@collection.module(operators, SIGNAL, SIGNALS, **LONG)
class UnfoldsQuarters(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.unfold(-1, x.shape[-1] // 4, x.shape[-1] // 8).mean(-1)


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class FourChunks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(4, 1)
        return parts[0].sum(1) * 2 + parts[-1].mean(1)


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class SplitsInHalf(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[1] // 2
        left, right = x.split([half, x.shape[1] - half], 1)
        return torch.stack([left.sum(1), right.amax(1)], 1)


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class TensorSplitThirds(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([part.mean(1) for part in torch.tensor_split(x, 3, dim=1)], 1)


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class SplitsOfFive(nn.Module):
    """split by a fixed length: as many parts as the width allows."""

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(5, 1)
        return parts[0].sum(1) - parts[-1].sum(1)


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class RepeatsToForty(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.repeat(1, -(-40 // x.shape[1]))[:, :40]


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class InterleavesByWidth(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.repeat_interleave(x, max(1, 32 // x.shape[1]), dim=1)


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class TopQuarter(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.topk(max(1, x.shape[1] // 4), dim=1).values.mean(1)


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class RollsByAThird(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.roll(x.shape[1] // 3, 1) - x


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class EveryNth(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :: max(1, x.shape[1] // 8)].sum(1)


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class DiagonalByWidth(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        square = x.unsqueeze(2) * x.unsqueeze(1)
        return square.diagonal(offset=x.shape[1] // 2, dim1=1, dim2=2)


@collection.module(operators, ROWS, ROWS_PROBES, **WIDE)
class SpectrumOfAPower(nn.Module):
    """An FFT as long as the next power of two."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x, n=1 << (x.shape[1] - 1).bit_length()).abs()


@collection.module(operators, IMAGE, IMAGES, **PICTURE)
class PatchesOfASize(nn.Module):
    """F.unfold with a kernel that is a quarter of the picture."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = (x.shape[2] // 4, x.shape[3] // 4)
        return F.unfold(x, kernel, stride=kernel).mean(1)


@collection.module(operators, IMAGE, IMAGES, **PICTURE)
class ScalesByTheShorterSide(nn.Module):
    """The scale factor is a Python float made of two sizes."""

    def forward(self, x: Tensor) -> Tensor:
        factor = 16 / min(x.shape[-2:])
        return F.interpolate(x, scale_factor=factor, mode="bilinear", recompute_scale_factor=True)


@collection.module(operators, IMAGE, IMAGES, **PICTURE)
class PyramidOfBins(nn.Module):
    """Spatial pyramid pooling with kernels by hand."""

    def forward(self, x: Tensor) -> Tensor:
        pooled = []
        for bins in (1, 2, 4):
            kernel = (math.ceil(x.shape[2] / bins), math.ceil(x.shape[3] / bins))
            y = F.max_pool2d(x, kernel, stride=kernel, ceil_mode=True)
            pooled.append(y.mean((2, 3)))
        return torch.cat(pooled, 1)


@collection.module(operators, randn(4, 6), sizes(None, 6, of=(1, 3, 8, 17)))
class GroupsOfABatch(nn.Module):
    """Ghost batch norm: statistics of each part of the batch."""

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(math.ceil(x.shape[0] / 4))
        return torch.cat([part - part.mean(0) for part in parts])


@collection.module(operators, randn(4, 6), sizes(None, 6, of=(1, 3, 8, 17)))
class ShufflesByASeed(nn.Module):
    """A permutation that is drawn for the batch's size, and kept by a trace."""

    def forward(self, x: Tensor) -> Tensor:
        order = torch.randperm(x.shape[0], generator=torch.Generator().manual_seed(0))
        return x[order] + x
