"""How modules are wrapped, called and put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from case import Case
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint

from modules.entry import Calls, entry, rows


class Answer(NamedTuple):
    logits: Tensor
    hidden: Tensor


@dataclass
class Output:
    logits: Tensor
    loss: Tensor | None = None
    hidden: tuple[Tensor, ...] | None = None


@dataclass
class Pair:
    left: Tensor
    right: Tensor


class KeywordOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, *, left: Tensor, right: Tensor | None = None) -> Tensor:
        return self.linear(left) if right is None else self.linear(left) - right


class Optional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, scale: float = 2.0, flag: bool = True
    ) -> Output:
        hidden = self.linear(x) * scale
        if mask is not None:
            hidden = hidden.masked_fill(mask, 0.0)
        return Output(logits=hidden.relu() if flag else hidden, hidden=(hidden, x))


class Batch(nn.Module):
    """A dict in, a nested dict out."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
        hidden = self.linear(batch["left"]) + batch["right"]
        return {"out": [hidden, {"deep": hidden.sum(1)}], "copy": batch["left"]}


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, xs: list[Tensor]) -> Answer:
        total = self.linear(xs[0])
        for x in xs[1:]:
            total = total + x
        return Answer(total, torch.stack(xs, 1))


class Paired(nn.Module):
    def forward(self, pair: Pair) -> Tensor:
        return pair.left - pair.right


class Symmetric(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return w.triu() + w.triu(1).transpose(-1, -2)


class Doubled(torch.autograd.Function):
    """A custom function with its own gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(-1, 1) * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        return checkpoint(lambda y: self.second(self.first(y).relu()), x, use_reentrant=False)


class Mode(nn.Module):
    """Left in train mode, with a branch on it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x: Tensor) -> Any:
        y = self.norm(self.linear(x))
        return (y, y.mean()) if self.training else y.softmax(-1)


class Vmapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.vmap(lambda row: (row * self.weight).sum())(x)


class Lazy(nn.Module):
    """Made in the first call."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(2))
        self.net(torch.zeros(1, 4))

    def forward(self, x: Tensor) -> Any:
        return self.net(x)


class Tagged(Tensor):
    """A subclass of Tensor that adds nothing."""


class Subclass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.as_subclass(Tagged)).as_subclass(Tensor) + 1


class Gradient(nn.Module):
    """Forces by differentiating an energy, as in chemistry."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.grad(lambda y: self.net(y).sum())(x)


def hooked() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    net[0].register_forward_hook(lambda module, args, out: out * 2)
    net[1].register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    return net


def parametrized() -> nn.Module:
    linear = nn.Linear(4, 4)
    parametrize.register_parametrization(linear, "weight", Symmetric())
    return linear


def pruned() -> nn.Module:
    from torch.nn.utils import prune

    linear = nn.Linear(4, 4)
    prune.l1_unstructured(linear, "weight", amount=0.5)
    return linear


def shared() -> nn.Module:
    linear = nn.Linear(4, 4)
    return nn.Sequential(linear, nn.ReLU(), linear, nn.Dropout(0.5), linear)


def quantized() -> nn.Module:
    from torch.ao.quantization import quantize_dynamic

    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return quantize_dynamic(net, {nn.Linear})


def cases() -> Iterator[Case]:
    yield entry("keyword only", KeywordOnly, lambda n: {"left": rows(n), "right": rows(n)})
    yield entry("keyword left out", KeywordOnly, lambda n: {"left": rows(n)})
    yield entry("optional left out", Optional, rows)
    yield entry("optional given", Optional, lambda n: (rows(n), rows(n) > 0, 3.0, False))
    yield entry("optional by name", Optional, lambda n: {"x": rows(n), "mask": rows(n) > 0})
    yield entry("optional none", Optional, lambda n: (rows(n), None, 0.5))
    yield entry("dict in and out", Batch, lambda n: ({"left": rows(n), "right": rows(n)},))
    yield entry("list in", Listed, lambda n: ([rows(n), rows(n), rows(n)],))
    yield entry("dataclass in", Paired, lambda n: (Pair(rows(n), rows(n)),))
    yield entry("checkpointed", Checkpointed, rows)
    yield entry("left in train mode", lambda: Mode().train(), rows)
    yield entry("custom function", lambda: Calls(lambda f, x: Doubled.apply(f(x))), rows)
    yield entry("hooks", hooked, rows)
    yield entry("parametrized", parametrized, rows)
    yield entry("pruned", pruned, rows)
    yield entry("shared layers", shared, rows)
    yield entry("compiled", lambda: torch.compile(nn.Sequential(nn.Linear(4, 3), nn.ReLU())), rows)
    yield entry(
        "compiled inside", lambda: nn.Sequential(torch.compile(nn.Linear(4, 3)), nn.ReLU()), rows
    )
    yield entry("data parallel", lambda: nn.DataParallel(nn.Linear(4, 3)), rows)
    yield entry("traced", lambda: torch.jit.trace(nn.Linear(4, 3), rows(2)), rows)
    yield entry(
        "traced inside",
        lambda: nn.Sequential(torch.jit.trace(nn.Linear(4, 3), rows(2)), nn.ReLU()),
        rows,
    )
    yield entry(
        "scripted inside", lambda: nn.Sequential(torch.jit.script(nn.Linear(4, 3)), nn.ReLU()), rows
    )
    yield entry(
        "frozen script",
        lambda: torch.jit.freeze(
            torch.jit.script(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval())
        ),
        rows,
    )
    yield entry(
        "exported program",
        lambda: torch.export.export(
            nn.Linear(4, 3), (rows(3),), dynamic_shapes=({0: torch.export.Dim("n")},)
        ),
        rows,
    )
    yield entry(
        "fx graph", lambda: torch.fx.symbolic_trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU())), rows
    )
    yield entry("vmap", Vmapped, rows)
    yield entry("lazy, called", Lazy, rows)
    yield entry("tensor subclass", Subclass, rows)
    yield entry("gradient inside", Gradient, rows)
    yield entry("dynamic int8", quantized, rows)
    yield entry(
        "channels last",
        lambda: nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last),
        lambda n: torch.rand(n, 3, 6, 6).to(memory_format=torch.channels_last),
    )
    yield entry(
        "parallel branches",
        lambda: Calls(
            lambda f, x: torch.cat([torch.relu(f(x)), torch.jit.wait(torch.jit.fork(f, x))], 1)
        ),
        rows,
    )
