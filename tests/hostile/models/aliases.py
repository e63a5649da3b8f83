"""What is written in place is read through another view, and the write seldom changes anything."""

from __future__ import annotations

from collections.abc import Callable

import torch
from tests.hostile.given import Collection, randn
from torch import Tensor, nn

collection = Collection()
written, scripted = "views", "views-of-scripts"

SAMPLE = randn(2, 3, 4)
MISSING = randn(3, 3, 4, seed=1).masked_fill(randn(3, 3, 4, seed=2) > 0.5, -999)
PROBES = [randn(4, 3, 4, seed=3), MISSING, torch.full((2, 3, 4), -999.0)]


class Cleans(nn.Module):
    """Replaces the numbers that stand for missing ones, in a view of a copy of ``x``."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 2)

    def view(self, x: Tensor) -> Tensor:
        return x.view(-1)

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        view = self.view(x)
        view[view == -999] = 0
        return self.net(x)


def cleaned(name: str, view: Callable[[Tensor], Tensor]) -> None:
    def method(self: Cleans, x: Tensor) -> Tensor:
        return view(x)

    kind = type(name, (Cleans,), {"view": method})
    collection.module(written, SAMPLE, PROBES)(kind)


for name, view in {
    "Flat": lambda x: x.view(-1),
    "Reshaped": lambda x: x.reshape(x.shape[0], -1),
    "Chunk": lambda x: x.chunk(2, -1)[0],
    "Unbound": lambda x: x.unbind(1)[1],
    "Transposed": lambda x: x.transpose(1, 2),
    "Unsqueezed": lambda x: x.unsqueeze(1),
    "Diagonal": lambda x: x.diagonal(0, 1, 2),
    "Detached": lambda x: x.detach(),
    "Data": lambda x: x.data,
    "Narrowed": lambda x: x.narrow(1, 0, 2),
    "Part": lambda x: x[:, 1:],
    "Unfolded": lambda x: x.unfold(2, 2, 2),
}.items():
    cleaned(name, view)


@collection.module(written, SAMPLE, PROBES)
class StaleView(nn.Module):
    """The view is older than a write to the whole."""

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        first = x[:, 0]
        x.clamp_(min=-10)
        return first + x[:, 1]


@collection.module(written, SAMPLE, PROBES)
class WrittenTwice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        first = x[:, 0]
        first.clamp_(min=-10)
        first.clamp_(max=2)
        return x


@collection.module(written, SAMPLE, PROBES)
class Swaps(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        first, second = x[:, 0], x[:, 1]
        x[:, 0] = torch.where(second < -10, 0, second)
        x[:, 1] = torch.where(first < -10, 0, first)
        return x


@collection.module(written, SAMPLE, PROBES, proven=True)
class Assigns(nn.Module):
    """What every exporter follows."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros_like(x)
        y[:, 0] = x[:, 1]
        y[:, 1:] = x[:, :2]
        y[x < -10] = 0
        y += x
        return y


@collection.module(written, SAMPLE, PROBES, proven=True)
class AddsToParts(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        y[:, 1:] += x[:, :-1]
        y[:, :2] *= 3
        y[0] -= y[1]
        return y


@collection.module(scripted, SAMPLE, PROBES, change=torch.jit.script)
class CleansScripted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        flat = x.view(-1)
        flat[flat == -999] = 0
        return x


@collection.module(scripted, SAMPLE, PROBES, change=torch.jit.script)
class BranchScripted(nn.Module):
    """The branch is not taken by the sample."""

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        first = x[0]
        if bool((x < -10).any()):
            x.clamp_(min=-10.0)
        return first + x.sum(0)


@collection.module(scripted, SAMPLE, PROBES, change=torch.jit.script)
class StaleListScripted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x * 1
        rows = [x[:, 0], x[:, 1]]
        x.clamp_(min=-10.0)
        return rows[0] + rows[1]


@collection.module(scripted, SAMPLE, PROBES, proven=True, change=torch.jit.script)
class AccumulatesScripted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros_like(x[:, 0])
        for step in range(3):
            total += x[:, step]
        return total
