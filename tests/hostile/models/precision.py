"""Values decide while weights, inputs or operators are of low precision."""

from __future__ import annotations

import torch
from tests.hostile.given import Collection, Linear, randn
from torch import Tensor, nn

collection = Collection()
low = "low-precision"

SAMPLE = randn(4, 6)
PROBES = [randn(3, 6, seed=1), randn(4, 6, seed=2) * 200]
LOOSE = 0.05
"""What bfloat16 explains of a difference, a few roundings long."""


def as_(kind: torch.dtype) -> dict[str, object]:
    return {"change": lambda module: module.to(kind), "tolerance": LOOSE}


def of(kind: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    return SAMPLE.to(kind), [probe.to(kind) for probe in PROBES]


@collection.module(low, *of(torch.bfloat16), **as_(torch.bfloat16))
class Bfloat16Norm(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y / y.norm() if y.norm() > 100 else y


@collection.module(low, *of(torch.float16), **as_(torch.float16))
class HalfNorm(Linear):
    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        if y.float().norm().item() > 100:
            y = y.sign()
        return y


@collection.module(low, *of(torch.float16), **as_(torch.float16))
class HalfOverflowGuard(Linear):
    """As Hugging Face's T5 and Whisper clamp when float16 overflows."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x) * 400
        if y.dtype == torch.float16 and torch.isinf(y).any():
            limit = torch.finfo(y.dtype).max - 1000
            y = y.clamp(min=-limit, max=limit) * 0
        return y


@collection.module(low, *of(torch.float32), tolerance=LOOSE)
class AutocastBranch(Linear):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.layer(x)
            if y.abs().max() > 50:
                return torch.zeros_like(y).float()
            return y.float()


@collection.module(low, *of(torch.float32), tolerance=LOOSE)
class AutocastDecorator(Linear):
    @torch.autocast("cpu", dtype=torch.bfloat16)
    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.layer(x))
        scale = 1.0 if y.sum().item() < 300 else 0.25
        return (y * scale).float()


@collection.module(low, *of(torch.float32), tolerance=LOOSE)
class AutocastPart(Linear):
    """Only a part is of low precision; what decides is outside of it."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = self.layer(x)
        y = y.float()
        while y.abs().max() > 64:
            y = y / 2
        return y


@collection.module(low, *of(torch.bfloat16), **as_(torch.bfloat16))
class Bfloat16Exit(nn.Module):
    """An early exit between two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(self.first(x))
        if float(y.abs().mean()) > 0.8:
            return y
        return self.second(y)


@collection.module(low, *of(torch.bfloat16), **as_(torch.bfloat16))
class Bfloat16Table(Linear):
    """A list is indexed by a tensor of low precision that became an int."""

    def forward(self, x: Tensor) -> Tensor:
        scales = [1.0, 0.5, 0.1]
        return self.layer(x) * scales[min(int(x.abs().amax()) // 100, 2)]


@collection.module(low, *of(torch.float32), tolerance=LOOSE)
class MixedWeights(nn.Module):
    """Weights in bfloat16, cast at the door; numpy decides."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6, dtype=torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x.to(torch.bfloat16)).float()
        return y if (y.detach().numpy() < 150).all() else -y


@collection.module(low, *of(torch.float16), **as_(torch.float16))
class HalfBatch(Linear):
    """A size decides, in half precision."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y - y.mean(0) if x.shape[0] > 3 else y


@collection.module(
    low,
    randn(2, 1, 16).bfloat16(),
    [randn(2, 1, n, seed=n).bfloat16() for n in (8, 31, 70)],
    dynamic={"x": {2: "time"}},
    **as_(torch.bfloat16),
)
class Bfloat16Kernel(nn.Module):
    """A size reaches an operator's integers, in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool1d(self.conv(x), max(1, x.size(2) // 16))


@collection.module(
    low, SAMPLE.double(), [probe.double() for probe in PROBES], change=nn.Module.double
)
class DoubleBranch(Linear):
    """A float64 model is computed anew as well."""

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y if y.abs().max() < 50 else y * 0 - 1
