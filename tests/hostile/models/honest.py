"""Sisters of the hostile models that decide by tensors: refusing them is a fault."""

from __future__ import annotations

import torch
from tests.hostile.given import Collection, Linear, peaked, randn, sizes
from torch import Tensor, nn
from torch.nn import functional as F

collection = Collection()
honest = "honest"

SAMPLE = randn(4, 6)
PROBES = [randn(3, 6, seed=1), peaked(4, 6, seed=2)]
BATCHES = sizes(None, 6, of=(1, 3, 9))


@collection.module(honest, SAMPLE, PROBES, proven=True)
class DecidesByWhere(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return torch.where(y.abs().amax() > 50, y / 10, y)


@collection.module(
    honest,
    SAMPLE.bfloat16(),
    [randn(3, 6, seed=1).bfloat16()],
    proven=True,
    change=lambda module: module.to(torch.bfloat16),
    tolerance=0.05,
)
class StraightBfloat16(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.layer(x)).softmax(-1)


@collection.module(honest, SAMPLE, [randn(3, 6, seed=1)], proven=True, tolerance=0.05)
class StraightAutocast(Linear):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return torch.tanh(self.layer(x)).float()


@collection.module(honest, SAMPLE, PROBES, proven=True)
class CountsByASum(Linear):
    def forward(self, x: Tensor) -> Tensor:
        count = ((x > 100) & (x < 200)).sum(1, keepdim=True)
        return self.layer(x) * (1 + count)


@collection.module(honest, SAMPLE, PROBES, proven=True)
class ChecksItsShape(Linear):
    """It raises where the shape does not fit, and nobody catches that."""

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2 or x.shape[1] != 6:
            raise ValueError(f"expected [n, 6], got {list(x.shape)}")
        return self.layer(x)


@collection.module(honest, SAMPLE, BATCHES, proven=True)
class ReshapesByASize(Linear):
    def forward(self, x: Tensor) -> Tensor:
        n, features = x.shape
        y = self.layer(x).reshape(n, 2, features // 2)
        return torch.cat([y, torch.zeros(n, 1, 3)], 1) + torch.arange(n).view(-1, 1, 1)


@collection.module(
    honest, randn(2, 3, 16), sizes(2, 3, None, of=(8, 31)), dynamic={"x": {2: "time"}}, proven=True
)
class FixedKernels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool1d(self.conv(x), 2).mean(-1)


@collection.module(honest, SAMPLE, PROBES, proven=True)
class NormalisesRows(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.layer(x), dim=1, eps=1e-6)


@collection.module(honest, SAMPLE, BATCHES, proven=True)
class LoopsOverLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            x = torch.tanh(layer(x)) + x if index else layer(x)
        return x
