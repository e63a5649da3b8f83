"""Writes in place through a view, which change nothing for the sample and much elsewhere."""

from __future__ import annotations

import torch
from tests.hostile.given import Collection, Linear, randn
from torch import Tensor
from torch.nn import functional as F

collection = Collection()
writes = "writes"

SAMPLE = randn(3, 6)
PROBES = [torch.full((2, 6), 5e8), randn(5, 6) * 1e7]
LIMIT = 1e6


@collection.module(writes, SAMPLE, PROBES, proven=True)
class TransposedByEinsum(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        torch.einsum("ij->ji", y).clamp_(max=LIMIT)
        return y


@collection.module(writes, SAMPLE, PROBES)
class DiagonalByEinsum(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        torch.einsum("ii->i", y[:2, :2]).clamp_(max=LIMIT)
        return y


@collection.module(writes, SAMPLE, PROBES)
class Windows(Linear):
    """The stand-in of ``unfold`` looks the windows up."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        y.unfold(1, 2, 1).clamp_(max=LIMIT)
        return y


@collection.module(writes, SAMPLE, PROBES, proven=True)
class WindowsThatAreCloned(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        windows = y.unfold(1, 2, 1).clone().clamp_(max=LIMIT)
        return windows.sum(-1) + y.unfold(1, 2, 1).sum(-1)


@collection.module(writes, SAMPLE, PROBES)
class ComplexTransposed(Linear):
    """The stand-in of a complex ``transpose`` is made of both parts."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x).reshape(-1, 3, 2)
        turned = torch.view_as_complex(y).transpose(0, 1)
        torch.view_as_real(turned).clamp_(max=LIMIT)
        return y * 1


@collection.module(writes, SAMPLE, PROBES, proven=True)
class WholeAlready(Linear):
    """Truncated integers are a tensor of their own, though there is nothing to truncate."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x).round().long()
        torch.trunc(y).clamp_(max=int(LIMIT))
        return y.float()


@collection.module(writes, SAMPLE, PROBES, proven=True)
class ResizedToTheSameSize(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)[None]
        F.interpolate(y, scale_factor=1.0, mode="nearest-exact").clamp_(max=LIMIT)
        return y[0]


@collection.module(writes, SAMPLE, PROBES, change=torch.jit.script)
class ScriptedEinsum(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        torch.einsum("ij->ji", y).clamp_(max=1e6)
        return y
