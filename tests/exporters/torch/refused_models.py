"""Models that are refused: each says its cause, the line, and what to write instead."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.flag = lambda: True  # so that TorchScript cannot take it


class Noise(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) + 0.1 * torch.randn(4)


class Dropout(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.linear(x), 0.5)


class Counter(Linear):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.linear(x) * self.calls


class RunningMean(Linear):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        self.mean += 0.1 * (x.mean(0) - self.mean)
        return self.linear(x - self.mean)


class Remembers(Linear):
    first: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.first is None or self.first.shape != x.shape:
            self.first = x
        return self.linear(x) - self.first


class Numpy(Linear):
    def forward(self, x: Tensor) -> Tensor:
        order = np.argsort(x.numpy(), axis=1)
        return self.linear(x) + torch.from_numpy(order)


class Item(Linear):
    def forward(self, x: Tensor) -> Tensor:
        count = round(x.abs().sum().item()) % 4
        return self.linear(x)[:, count:]


class Branch(Linear):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0 and self.flag():
            return self.linear(x)
        return -x


class Loop(Linear):
    def forward(self, x: Tensor) -> Tensor:
        while x.abs().max() > 1 and self.flag():
            x = self.linear(x) / 2
        return x


class Checks(Linear):
    def forward(self, x: Tensor) -> Tensor:
        assert not torch.isnan(x).any(), "not a number"
        return self.linear(x) if self.flag() else x


class FixedBatch(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).view(2, 4)


class OverBatch(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.linear(row) * i for i, row in enumerate(x) if self.flag()])


class OverTime(Linear):
    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(x.shape[0], 4)
        for t in range(x.shape[1]):
            h = torch.tanh(self.linear(x[:, t]) + h) if self.flag() else h
        return h


class BySize(Linear):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] > 16 and self.flag():
            return self.linear(x) * 2
        return self.linear(x)


class Unsupported(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.lgamma(self.linear(x).abs() + 1)


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.from_numpy(np.round(x.detach().numpy(), 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class CustomFunction(Linear):
    def forward(self, x: Tensor) -> Any:
        return Rounded.apply(self.linear(x))


class Complex(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.fft(self.linear(x))


class Float8(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).to(torch.float8_e4m3fn)


class PythonOutput(Linear):
    def forward(self, x: Tensor) -> dict[str, Any]:
        return {"logits": self.linear(x), "count": x.dim()}


class ManyOutputs(Linear):
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.linear(row) for row in x)


class NoOutput(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)[:0]


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(9, 4)

    def forward(self, ids: Tensor) -> Tensor:
        return self.words(ids).sum(1)


class Tokens(nn.Module):
    """Takes text."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(256, 4)

    def forward(self, text: str) -> Tensor:
        return self.words(torch.tensor(list(text.encode()))).mean(0)


class Huge(Linear):
    def forward(self, x: Tensor) -> Tensor:
        scale = 2 if x.shape[0] * x.shape[1] > 2**28 and self.flag() else 1
        return self.linear(x) * scale


class OneHot(nn.Module):
    def forward(self, ids: Tensor) -> Tensor:
        return F.one_hot(ids)


class Heads(Linear):
    def forward(self, x: Tensor, task: Tensor) -> Tensor:
        heads = [self.linear, self.flag]
        return heads[int(task)](x)


class Jacobian(Linear):
    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(torch.func.jacrev(lambda row: self.linear(row).sin()))(x)


class OwnKernels(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        kernels = x.mean(2, keepdim=True).expand(-1, -1, 3)
        rows = x.reshape(1, -1, x.shape[2])
        return F.conv1d(rows, kernels.reshape(-1, 1, 3), groups=x.shape[0] * x.shape[1])


def dynamic_int8() -> nn.Module:
    from torch.ao.quantization import quantize_dynamic

    with warnings.catch_warnings(action="ignore"):
        return quantize_dynamic(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), {nn.Linear})


def x(n: int = 2, width: int = 4) -> Tensor:
    return torch.linspace(-1, 1, n * width).reshape(n, width)


def steps() -> Tensor:
    return torch.linspace(-1, 1, 24).reshape(2, 3, 4)


# name: the model, its sample, options of export
REFUSED: dict[str, tuple[Callable[[], Any], Callable[[], Any], dict[str, Any]]] = {
    "noise": (Noise, x, {}),
    "functional dropout": (Dropout, x, {}),
    "state kept": (Counter, x, {}),
    "buffer updated": (RunningMean, x, {}),
    "first input remembered": (Remembers, x, {}),
    "numpy inside": (Numpy, x, {}),
    "item": (Item, x, {}),
    "branch on values": (Branch, x, {}),
    "loop on values": (Loop, x, {}),
    "assert on values": (Checks, x, {}),
    "fixed batch": (FixedBatch, x, {}),
    "loop over the batch": (OverBatch, x, {}),
    "loop over time": (OverTime, steps, {"dynamic": {"x": {1: "steps"}}}),
    "branch on the size": (BySize, x, {}),
    "unsupported operator": (Unsupported, x, {}),
    "custom function": (CustomFunction, x, {}),
    "complex": (Complex, x, {}),
    "float8": (Float8, x, {}),
    "dynamic int8": (dynamic_int8, x, {}),
    "python output": (PythonOutput, x, {}),
    "outputs vary": (ManyOutputs, x, {}),
    "output empty": (NoOutput, x, {}),
    "text": (Tokens, lambda: "cat", {}),
    "no sample": (Linear, lambda: None, {}),
    "wrong shape": (BySize, lambda: x(2, 5), {}),
    "wrong dtype": (Words, lambda: torch.zeros(2, 3), {}),
    "double sample": (BySize, lambda: x().double(), {}),
    "index out of range": (Words, lambda: torch.full((2, 3), 99), {}),
    "axis that cannot vary": (BySize, x, {"dynamic": {"x": {1: "width"}}}),
    "axis that does not exist": (BySize, x, {"dynamic": {"x": {2: "depth"}}}),
    "input that does not exist": (BySize, x, {"dynamic": {"image": {2: "depth"}}}),
    "too large to try": (Huge, lambda: torch.zeros(2, 1024, 4), {"dynamic": {"x": {1: "n"}}}),
    "one hot": (OneHot, lambda: torch.tensor([0, 2]), {}),
    "one of several": (Heads, lambda: (x(), torch.tensor(0)), {}),
    "gradient": (Jacobian, x, {}),
    "own kernels": (OwnKernels, steps, {}),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), x, {}),
    "meta device": (lambda: nn.Linear(4, 3, device="meta"), x, {}),
    "no forward": (Linear, x, {}),
    "a class": (lambda: BySize, x, {}),
    "weights alone": (lambda: BySize().state_dict(), x, {}),
}
