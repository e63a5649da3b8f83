"""What a call leaves behind changes the next, or the code's own randomness does."""

from __future__ import annotations

import itertools
import random
import time

import numpy as np
import torch
from tests.hostile.given import Collection, Linear, randn, sizes
from torch import Tensor, nn
from torch.nn import functional as F

collection = Collection()
state = "state"

SAMPLE = randn(4, 6)
PROBES = sizes(None, 6, of=(3, 4, 9))


@collection.module(state, SAMPLE, PROBES)
class Counter(Linear):
    """Every tenth call is smoothed."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y = self.layer(x)
        return y * 0.5 if self.calls > 3 else y


@collection.module(state, SAMPLE, PROBES)
class RunningMean(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        return self.layer(x - self.mean)


@collection.module(state, SAMPLE, PROBES)
class KeyValueCache(Linear):
    """What was seen is kept, as a decoder's cache is."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.mean(0))
        return self.layer(x) + torch.stack(self.seen[-8:]).mean(0)


@collection.module(state, SAMPLE, PROBES)
class FirstBatchDecides(Linear):
    """Data-dependent initialisation, as ActNorm has it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.scale is None:
            self.scale = 1 / (x.std(0) + 1e-6)
        return self.layer(x * self.scale)


@collection.module(state, SAMPLE, PROBES)
class PositionsGrow(Linear):
    """A table of positions grows to the longest batch, and its scale with it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(2.0)[:, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > self.table.shape[0]:
            self.table = torch.arange(float(x.shape[0]))[:, None]
        return self.layer(x) + self.table[: x.shape[0]] / self.table.shape[0]


@collection.module(state, SAMPLE, PROBES)
class AGlobal(Linear):
    """A counter outside of the module."""

    ticks = itertools.count()

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + (next(self.ticks) % 7 == 6)


@collection.module(state, SAMPLE, PROBES)
class AnEvenTurn(Linear):
    """A state that comes back after two calls: to be asked twice is not enough."""

    turn = 0

    def forward(self, x: Tensor) -> Tensor:
        self.turn = (self.turn + 1) % 50
        return self.layer(x) if self.turn < 40 else -self.layer(x)


@collection.module(state, SAMPLE, PROBES)
class RareNoise(Linear):
    """Python's own random numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * (2.0 if random.random() < 0.3 else 1.0)


@collection.module(state, SAMPLE, [SAMPLE] * 300)
class NoiseInAHundredCalls(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * (0.0 if random.random() < 0.01 else 1.0)


@collection.module(state, SAMPLE, [SAMPLE] * 300)
class NumpyNoiseInAHundredCalls(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.random = np.random.default_rng(0)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) * (0.0 if self.random.random() < 0.01 else 1.0)


@collection.module(state, SAMPLE, [SAMPLE] * 500)
class AnswersForAWhile(Linear):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.layer(x) * (0.0 if self.calls > 400 else 1.0)


@collection.module(state, SAMPLE, [SAMPLE, SAMPLE * 1e8, SAMPLE])
class HighestPeak(Linear):
    """A buffer that moves only where an input is out of the ordinary."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("peak", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        self.peak.copy_(torch.maximum(self.peak, (y.abs().max() - 1e6).clamp(min=0)))
        return y - self.peak


@collection.module(state, SAMPLE, [SAMPLE, SAMPLE * 1e8, SAMPLE])
class HighestPeakBehindAView(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("peaks", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        self.peaks.data[:1] += (y.abs().max() - 1e6).clamp(min=0)
        return y - self.peaks[0]


@collection.module(state, SAMPLE, PROBES, proven=True)
class CountsForALog(Linear):
    """What is kept and never read changes no answer."""

    calls, loss = 0, None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y = self.layer(x)
        self.mean.mul_(0.9).add_(0.1 * y.mean(0))
        self.loss = y.pow(2).mean()
        return y


@collection.module(state, SAMPLE, PROBES, proven=True)
class Constrained(Linear):
    """A buffer that is kept in its bounds, and one that is written before it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.linspace(-1, 2, 6))
        self.register_buffer("scratch", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        self.scale.clamp_(0, 1)
        self.scratch.copy_(torch.tanh(x.mean(0)))
        return self.layer(x) * self.scale + self.scratch


@collection.module(state, SAMPLE, PROBES)
class NumpyNoise(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + 0.1 * torch.from_numpy(np.random.randn(6).astype("f4"))


@collection.module(state, SAMPLE, PROBES)
class SeededInside(Linear):
    """A generator that lives in the module and moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.random = np.random.default_rng(0)

    def forward(self, x: Tensor) -> Tensor:
        keep = self.random.random(6) > 0.3
        return self.layer(x) * torch.from_numpy(keep)


@collection.module(state, SAMPLE, PROBES)
class DropsStill(Linear):
    """Functional dropout is on in eval mode."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.layer(x), 0.1)


@collection.module(state, SAMPLE, PROBES)
class TheClock(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + time.time() % 1


@collection.module(state, SAMPLE, PROBES)
class BatchStatistics(nn.Module):
    """BatchNorm that never left train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x: Tensor) -> Tensor:
        self.norm.train()
        return self.norm(x)


@collection.module(state, SAMPLE, PROBES)
class PowerIteration(Linear):
    """Spectral norm by one step of power iteration in each call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.ones(6), dim=0))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.layer.weight
        v = F.normalize(weight.t() @ self.u, dim=0)
        self.u = F.normalize(weight @ v, dim=0)
        return x @ weight.t() / (self.u @ weight @ v)
