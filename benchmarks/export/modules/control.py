"""Python and data that decide."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from case import Case
from torch import Tensor, nn

from modules.entry import Calls, entry, rows, steps


class Branch(nn.Module):
    """An if on values."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(4, 3)
        self.right = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() > 0:
            return self.left(x)
        return self.right(x)


class Cond(nn.Module):
    """The same by torch.cond, over methods."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(4, 3)
        self.right = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.mean() > 0, lambda y: self.left(y), lambda y: self.right(y), (x,))


class While(nn.Module):
    """Halves until it is small."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        while y.norm() > 1.0:
            y = y / 2
        return y


class Exits(nn.Module):
    """Leaves early when it is sure."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.hidden = nn.Linear(4, 4)
        self.second = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        early = self.first(x)
        if early.softmax(-1).max() > 0.9:
            return early
        return self.second(torch.relu(self.hidden(x)))


class Counts(nn.Module):
    """Runs a layer as often as the data says."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor, times: Tensor) -> Tensor:
        for _ in range(int(times)):
            x = torch.tanh(self.linear(x))
        return x


class Item(nn.Module):
    """Takes a threshold out of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        limit = x.abs().max().item()
        return self.linear(x / (limit + 1e-6))


class Experts(nn.Module):
    """A mixture of experts: each row to the one its gate prefers, by masks."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, 3)
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        chosen = self.gate(x).argmax(-1)
        out = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            rows = chosen == index
            out[rows] = expert(x[rows])
        return out


class Skips(nn.Module):
    """Does nothing where there is nothing to do."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if mask.any():
            x = torch.where(mask[:, None], self.linear(x), x)
        return x


class Dispatch(nn.Module):
    """Picks a head by a name."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({"a": nn.Linear(4, 2), "b": nn.Linear(4, 3)})

    def forward(self, x: Tensor, task: str = "a") -> Tensor:
        return self.heads[task](x)


class Tries(nn.Module):
    """try and except about what is fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        try:
            scale = self.scale
        except AttributeError:
            scale = 2.0
        name = f"{type(self).__name__}_{x.dim()}"
        return self.linear(x) * scale * len(name)


class Asserts(nn.Module):
    """Checks its input, as careful people do."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 2 or x.shape[1] != 4:
            raise ValueError(f"expected [n, 4], got {list(x.shape)}")
        assert x.is_floating_point(), "floats only"
        return self.linear(x)


def recursive(linear: nn.Module, x: Tensor, depth: int = 3) -> Tensor:
    return x if depth == 0 else recursive(linear, torch.relu(linear(x)), depth - 1)


def newton(linear: nn.Module, x: Tensor) -> Tensor:
    target = linear(x).abs() + 1
    root = target
    for _ in range(6):
        root = (root + target / root) / 2
    return root


def cases() -> Iterator[Case]:
    yield entry("branch on values", Branch, rows)
    yield entry("torch.cond", Cond, rows)
    yield entry("while on values", While, rows)
    yield entry("early exit", Exits, rows, factors=(0.01, 1.0, 100.0))
    yield entry(
        "repeat by value", Counts, lambda n: (rows(n), torch.tensor(n)), factors=(1.0, -1.0)
    )
    yield entry("item", Item, rows)
    yield entry("mixture of experts", Experts, rows)
    yield entry("skip where nothing", Skips, lambda n: (rows(n), torch.arange(n) % 2 == 1))
    yield entry("dispatch by name", Dispatch, lambda n: (rows(n), "b"))
    yield entry("dispatch by default", Dispatch, rows)
    yield entry("try and except", Tries, rows)
    yield entry("checks its input", Asserts, rows)
    yield entry("recursion", lambda: Calls(recursive), rows)
    yield entry("newton", lambda: Calls(newton), rows)
    yield entry(
        "where",
        lambda: Calls(lambda f, x: torch.where(x > 0, f(x), torch.where(x < -1, x * 2, -x))),
        rows,
    )
    yield entry(
        "where nan",
        lambda: Calls(lambda f, x: torch.where(x > 0, x.clamp(min=1e-6).log(), f(x))),
        rows,
    )
    yield entry("no grad inside", lambda: Calls(torch.no_grad()(lambda f, x: f(x).detach())), rows)
    yield entry(
        "steps by python slices",
        lambda: Calls(lambda f, x: f(x[:, ::2]).flip(1) + f(x[:, -1:])),
        steps,
        dynamic={"inputs_0": {1: "steps"}},
    )
    yield entry("scripted branch", lambda: torch.jit.script(Branch()), rows)
    yield entry("scripted loop", lambda: torch.jit.script(While()), rows)
