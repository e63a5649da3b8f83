"""Python that decides: a proof where a graph can follow, a refusal where it cannot."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from onnxpack.errors import ExportError, NondeterministicError, SampleError


class Calls(nn.Module):
    """``function(linear, x)``: what people write in forward()."""

    def __init__(self, function: Any, width: int = 4) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.linear, x)


class Scripted(nn.Module):
    """Branches and loops that TorchScript understands."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        y = y * 2 if bool(y.sum() > 0) else y - 1
        for _ in range(3):
            y = torch.tanh(y)
        return y


class Exits(nn.Module):
    """An early exit that hardly any input takes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        if y.abs().max() > 1e9:
            return torch.zeros_like(y)
        return y


class AuxiliaryLoss(nn.Module):
    """Keeps what a training loop adds to its loss: a tensor without axes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.loss: Tensor | None = None

    def forward(self, x: Tensor) -> Any:
        y = self.linear(x)
        self.loss = y.pow(2).mean()
        return y


def twice(x: Tensor) -> Tensor:
    return x * 2


with warnings.catch_warnings(action="ignore"):  # torch.jit.script is deprecated, and in use
    doubled: Any = torch.jit.script(twice)


class Counting(nn.Module):
    """Keeps state between calls."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.linear(x) * self.calls


class Moving(nn.Module):
    """A running mean that is kept in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        self.mean += 0.1 * (x.mean(0) - self.mean)
        return x - self.mean


class Remembering(nn.Module):
    """Keeps the first answer and gives it again."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.seen: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.seen is None or self.seen.shape != x.shape:
            self.seen = self.linear(x)
        return self.seen


class Trains(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        if self.training:
            return y + 100
        return y


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 4, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        _, last = self.gru(packed)
        return last[0]


class Limited(nn.Module):
    """Has no more than eight places, and clips what is longer."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(50, 4)
        self.places = nn.Parameter(torch.randn(8, 4))

    def forward(self, ids: Tensor) -> Tensor:
        ids = ids[:, :8]
        return self.words(ids) + self.places[: ids.shape[1]]


class Conditional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda y: y * 2, lambda y: y - 1, (self.linear(x),))


def x(n: int) -> Tensor:
    return torch.randn(n, 4)


def steps(n: int) -> Tensor:
    return torch.randn(n, n + 2, 4)


def fixed_steps(n: int) -> Tensor:
    return torch.randn(n, 5, 4)


def over_time(linear: Any, x: Tensor) -> Tensor:
    h = torch.zeros(x.shape[0], 4)
    for t in range(x.shape[1]):
        h = torch.tanh(linear(x[:, t]) + h)
    return h


def by_value(linear: Any, x: Tensor) -> Tensor:
    return linear(x) * 2 if x.sum() > 0 else linear(x) - 1


def while_large(linear: Any, x: Tensor) -> Tensor:
    y = linear(x)
    while y.norm() > 1:
        y = y / 2
    return y


def early_exit(linear: Any, x: Tensor) -> Tensor:
    y = linear(x)
    if y.abs().max() > 1e9:
        return torch.zeros_like(y)
    return y


def numpy_constant(linear: Any, x: Tensor) -> Tensor:
    return linear(x) * torch.from_numpy(np.arange(4, dtype=np.float32))


# What must be proven: make, inputs, options.
PROVEN: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "loop over fixed time": (lambda: Calls(over_time), fixed_steps, {}),
    "scripted branch": (Scripted, x, {}),
    "if training": (Trains, x, {}),
    "dropout in train mode": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).train(),
        x,
        {},
    ),
    "batch norm in train mode": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train(),
        x,
        {},
    ),
    "random in training": (lambda: nn.Sequential(nn.Linear(4, 4), nn.RReLU()).train(), x, {}),
    "functional dropout that knows": (
        lambda: Calls(lambda linear, x: F.dropout(linear(x), training=linear.training)),
        x,
        {},
    ),
    "numpy constant": (lambda: Calls(numpy_constant), x, {}),
    "places up to a limit": (
        Limited,
        lambda n: torch.randint(0, 50, (n, n + 2)),
        {"dynamic": {"ids": {1: "tokens"}}},
    ),
    "ones of the batch": (
        lambda: Calls(lambda linear, x: linear(x) + torch.ones(x.size(0), 1)),
        x,
        {},
    ),
    "half of the batch": (
        lambda: Calls(lambda linear, x: linear(x)[: (x.shape[0] + 1) // 2]),
        x,
        {},
    ),
    "last of the batch": (lambda: Calls(lambda linear, x: linear(x)[-1]), x, {}),
    "item": (lambda: Calls(lambda linear, x: linear(x) * x.max().item()), x, {}),
    "max of Python": (lambda: Calls(lambda linear, x: linear(x) * max(x.sum(), 0)), x, {}),
    "scripted exit": (Exits, x, {}),
    "auxiliary loss": (AuxiliaryLoss, x, {}),
    "scripted function": (lambda: Calls(lambda linear, x: linear(doubled(x))), x, {}),
    "compiled inside": (
        lambda: nn.Sequential(torch.compile(nn.Linear(4, 4), backend="eager"), nn.ReLU()),
        x,
        {},
    ),
    "parallel branches": (
        lambda: Calls(lambda linear, x: linear(x) + torch.jit.wait(torch.jit.fork(linear, x))),
        x,
        {},
    ),
    "cond": (Conditional, x, {}),
    "lengths": (Packed, lambda n: (torch.randn(n, 5, 4), torch.randint(1, 6, (n,))), {}),
    "log of the size": (
        lambda: Calls(lambda linear, x: linear(x) * float(x.shape[1]) ** 0.5),
        x,
        {},
    ),
}

REFUSED: dict[str, tuple[Any, Any, dict[str, Any], type[ExportError], str]] = {
    "branch on values": (
        lambda: Calls(by_value),
        x,
        {},
        ExportError,
        "depends on a tensor's values",
    ),
}

TRACED: dict[str, tuple[Any, str]] = {
    "while": (while_large, "depends on a tensor's values"),
    "early exit": (early_exit, "depends on a tensor's values"),
    "float": (lambda linear, x: linear(x) * float(x.max()), "depends on"),
    "tolist": (lambda linear, x: linear(x) * x.flatten().tolist()[0], "depends on"),
    "numpy": (
        lambda linear, x: linear(x) + torch.from_numpy(np.sort(x.detach().numpy(), -1)),
        "depends on",
    ),
    "any": (lambda linear, x: linear(x) * (3 if (x > 5).any() else 1), "depends on"),
    "isnan": (lambda linear, x: x if torch.isnan(x).any() else linear(x), "depends on"),
    "index": (lambda linear, x: linear(x)[:, int(x.sum().abs()) % 4 :], "depends on"),
    "sort of python": (lambda linear, x: torch.stack(sorted(linear(x)[0])), "depends on"),
    "equal": (lambda linear, x: linear(x) * (2 if torch.equal(x, x.abs()) else 1), "depends on"),
    "allclose": (
        lambda linear, x: linear(x) * (2 if torch.allclose(x, x.abs()) else 1),
        "depends on",
    ),
    "match": (lambda linear, x: linear(x) if bool((x == 0).all()) else -linear(x), "depends on"),
    "contains": (lambda linear, x: linear(x) * (2 if 7.0 in x else 1), "depends on"),
}


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
@pytest.mark.parametrize("name", PROVEN)
def test_proven(check: Any, name: str) -> None:
    make, inputs, options = PROVEN[name]
    check.proven(make, inputs, **options)


@pytest.mark.parametrize("name", TRACED)
def test_values_that_decide(check: Any, name: str) -> None:
    function, word = TRACED[name]
    check.refused(lambda: Calls(function), x, ExportError, word)


@pytest.mark.parametrize(
    ("make", "inputs", "error", "word"),
    [
        (lambda: Calls(lambda linear, x: F.dropout(linear(x))), x, NondeterministicError, "twice"),
        (lambda: Calls(lambda linear, x: linear(x) + torch.rand(4)), x, NondeterministicError, ""),
        (Counting, x, NondeterministicError, "keeps a state between calls: self.calls"),
        (Moving, x, NondeterministicError, "keeps a state between calls: self.mean"),
        (Remembering, x, NondeterministicError, "depend on its first input"),
        (lambda: Calls(lambda linear, x: linear(x).view(2, 4)), x, SampleError, "no other size"),
    ],
)
def test_refused(check: Any, make: Any, inputs: Any, error: Any, word: str) -> None:
    check.refused(make, inputs, error, word)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_every_strategy(check: Any, name: str) -> None:
    make, inputs, options, error, word = REFUSED[name]
    check.refused(make, inputs, error, word, **options)
