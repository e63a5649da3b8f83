"""Sizes that become an operator's integers, and masks with huge constants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from case import Case
from torch import Tensor, nn
from torch.nn import functional as F

from modules.entry import Call, Calls, entry, rows

SIZES = (1, 4, 7, 12)
WIDTH = {"dynamic": {"inputs_0": {1: "width"}}}
TIME = {"dynamic": {"inputs_0": {2: "time"}}}


def wide(n: int) -> Tensor:
    """``[2, 12 n − 5]``: widths that few numbers divide."""
    return torch.randn(2, 12 * n - 5)


def signal(n: int) -> Tensor:
    """``[2, 4, 12 n − 5]``."""
    return torch.randn(2, 4, 12 * n - 5)


def hands(n: int) -> tuple[Tensor, Tensor]:
    """Cards that are held, and which of ten moves are allowed."""
    return torch.randint(0, 10, (n, 7)), torch.rand(n, 10) > 0.3


def scores(n: int) -> tuple[Tensor, Tensor]:
    """Features, and which of four answers are allowed."""
    allowed = torch.rand(n, 4) > 0.4
    allowed[:, 0] = True
    return torch.randn(n, 4), allowed


class Cards(nn.Module):
    """Counts cards by index_put_, and forbids moves by −1e8."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 10))

    def forward(self, held: Tensor, allowed: Tensor) -> Tensor:
        places = torch.arange(held.shape[0])[:, None].expand_as(held)
        counts = torch.zeros(held.shape[0], 10)
        counts.index_put_((places, held), torch.ones(held.shape), accumulate=True)
        return self.net(counts).masked_fill(~allowed, -1e8)


class Convolves(nn.Module):
    """A convolution whose stride or dilation follows the length."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.conv, self.what = nn.Conv1d(4, 2, 3), what

    def forward(self, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        options: dict[str, Any] = {self.what: 1 + x.shape[-1] // 40}
        return F.conv1d(x, self.conv.weight, padding=4, **options)


def rolled(layer: nn.Module, x: Tensor) -> Tensor:
    y = torch.roll(layer(x), x.shape[0] // 2, 0)
    return torch.cat([y, torch.full_like(y[:, :1], torch.finfo(torch.float32).min)], 1)


def stamped(layer: nn.Module, x: Tensor) -> Tensor:
    y = layer(x)
    y = y - y[: x.shape[0] // 3 + 1].mean(0)
    return torch.cat([torch.full_like(y[:, :1], 1.7e9), y], 1)


OPERATORS = {
    "kernel": lambda x: F.avg_pool1d(x, x.shape[-1] // 40 + 1),
    "global kernel": lambda x: F.max_pool1d(x, x.shape[-1]).squeeze(-1),
    "padding to a multiple": lambda x: F.pad(x, (0, -x.shape[-1] % 8)).cumsum(-1),
}
ROWS = {
    "chunk": lambda x: x.chunk(4, 1)[0].sum(1) - x.chunk(4, 1)[-1].sum(1),
    "split": lambda x: x.split(x.shape[1] // 2, 1)[-1].sum(1),
    "tensor_split": lambda x: torch.stack([p.mean(1) for p in x.tensor_split(3, 1)], 1),
    "repeat": lambda x: x.repeat(1, -(-50 // x.shape[1]))[:, :50],
    "topk": lambda x: x.topk(max(1, x.shape[1] // 6), 1).values,
    "roll": lambda x: x.roll(x.shape[1] // 3, 1) - x,
    "step of a slice": lambda x: x[:, :: x.shape[1] // 7],
    "linspace": lambda x: x * torch.linspace(-1, 1, x.shape[1]),
}


def cases() -> Iterator[Case]:
    yield entry("masks/cards, -1e8", Cards, hands)
    yield entry(
        "masks/smallest float",
        lambda: Calls(lambda f, x, ok: torch.where(ok, f(x), torch.finfo(x.dtype).min)),
        scores,
    )
    yield entry(
        "masks/softmax of -1e9",
        lambda: Calls(lambda f, x, ok: (f(x) + (~ok).float() * -1e9).softmax(1)),
        scores,
    )
    yield entry("masks/rolled logits", lambda: Calls(rolled), rows)
    yield entry("masks/timestamp column", lambda: Calls(stamped), rows)
    for name, function in OPERATORS.items():
        make = lambda function=function: Call(function)  # noqa: E731
        yield entry(f"sizes as integers/{name}", make, signal, sizes=SIZES, **TIME)
    yield entry(
        "sizes as integers/nearest to a size",
        lambda: Call(lambda x: F.interpolate(x, size=64)),
        lambda n: torch.randn(2, 4, 14 * n),
        **TIME,
    )
    for what in ("stride", "dilation"):
        make = lambda what=what: Convolves(what)  # noqa: E731
        yield entry(f"sizes as integers/{what}", make, signal, sizes=SIZES, **TIME)
    for name, function in ROWS.items():
        make = lambda function=function: Call(function)  # noqa: E731
        yield entry(f"sizes as integers/{name}", make, wide, sizes=SIZES, **WIDTH)
