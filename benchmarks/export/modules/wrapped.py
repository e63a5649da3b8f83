"""Wrappers, calls and structures, harder: Lightning, functorch, hooks, aliases, dtypes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from case import Case
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from modules.entry import Call, Calls, entry, picture, rows, steps


@dataclass
class Report:
    logits: Tensor
    extras: dict[str, Tensor] = field(default_factory=dict)
    parts: tuple[Tensor, ...] = ()
    loss: Tensor | None = None


class Reports(nn.Module):
    """A dataclass with a dict and a tuple inside, and a None."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor, *, scale: Tensor | None = None, **extra: Tensor) -> Report:
        y = self.linear(x) if scale is None else self.linear(x) * scale
        total = sum(extra.values()) if extra else 0
        return Report(y + total, {"norm": y.norm(dim=1), "copy": x}, (y[:, :2], y[:, 2:]))


class Nested(nn.Module):
    """Dicts of lists of tuples in."""

    def forward(self, batch: dict[str, Any], options: dict[str, Any] | None = None) -> Any:
        left, right = batch["pair"]
        weights = batch["weights"]
        out = OrderedDict(sum=left + right, weighted=[w * left for w in weights])
        if options and options.get("squash"):
            out["sum"] = out["sum"].tanh()
        return out


class Aliases(nn.Module):
    """Gives its input, a view of it, the same thing twice, and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(6.0).view(2, 3))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = x * 2
        return x, x[:, :2], y, y, self.table, torch.tensor(3.5), y.sum()


class Overlapping(nn.Module):
    """In place through views: rows, transposes, masks; the input's own slices too."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.clone()
        top = y[:, :2]
        top.mul_(3)
        y.t()[0].add_(1)
        y[..., 1:3].clamp_(min=-1)
        y[:, 3] = y[:, 0] - y[:, 3]
        y.view(-1, 2, 2)[:, 1, 0] -= 5
        x[:, ::2].neg_()
        return y + x


class Accumulates(nn.Module):
    """Counts its calls in a buffer, which its answer does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.linear(x)


class Caches(nn.Module):
    """Makes its position table once, for the longest input seen."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.table is None or self.table.shape[0] < x.shape[1]:
            place = torch.arange(x.shape[1]).unsqueeze(1)
            self.table = torch.sin(place * torch.tensor([1.0, 0.5, 0.1, 0.01]))
        return x + self.table[: x.shape[1]]


class Round(torch.autograd.Function):
    """To quarters, the gradient straight through."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return (x * 4).round() / 4

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        return None

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Steered(nn.Module):
    """A straight-through estimator with its own backward."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(Round.apply(x))


class Remembers(nn.Module):
    """Hooks that catch an inner layer's output, which is then used."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
        self.seen: dict[str, Tensor] = {}
        self.body[1].register_forward_hook(lambda m, a, out: self.seen.update(hidden=out))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.body(x), "hidden": self.seen.pop("hidden")}


class CondModules(nn.Module):
    """torch.cond over submodules, two operands, nested."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        def positive(u: Tensor, v: Tensor) -> Tensor:
            return torch.cond(
                (v > 0).all(), lambda p, q: self.a(p) + q, lambda p, q: self.b(p) - q, (u, v)
            )

        return torch.cond(x.sum() > 0, positive, lambda u, v: self.c(u) * v, (x, y))


class Selects(nn.Module):
    """A ModuleList indexed by a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(4, 3) for _ in range(3))

    def forward(self, x: Tensor, task: Tensor) -> Tensor:
        return self.heads[int(task)](x)


class SelectsAll(nn.Module):
    """The same as it should be written."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(4, 3) for _ in range(3))

    def forward(self, x: Tensor, task: Tensor) -> Tensor:
        return torch.stack([head(x) for head in self.heads])[task, torch.arange(x.shape[0])]


class Strided(nn.Module):
    """Einops by hand: space to depth, heads, windows; sizes from the input."""

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = x.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 1, 2, 4).reshape(b, 4 * c, -1)
        return y.unflatten(1, (4, c)).flatten(2).softmax(-1).view(b, 4, c, h // 2, w // 2)


class Frozen(nn.Module):
    """A BatchNorm kept in train mode on purpose, by a train() that is overridden."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.linear = nn.Linear(4, 2)

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(x))


class Double(nn.Module):
    """Weights and input in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8)).double()
        self.gru = nn.GRU(8, 3, batch_first=True).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.gru(self.net(x))[0].cumsum(1)


def lightning(n: int = 4) -> Any:
    import lightning

    class Lit(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = nn.Sequential(nn.Linear(n, 8), nn.Dropout(0.5), nn.Linear(8, 3))
            self.example_input_array = torch.zeros(2, n)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            logits = self.net(x)
            return {"logits": logits, "label": logits.argmax(-1)}

        def training_step(self, batch: Any, index: int) -> Tensor:
            return F.cross_entropy(self(batch[0])["logits"], batch[1])

    return Lit()


def frozen_script() -> Any:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    return torch.jit.freeze(torch.jit.script(net))


def weighed() -> nn.Module:
    return nn.Sequential(
        parametrizations.orthogonal(nn.Linear(4, 4)),
        torch.nn.utils.spectral_norm(nn.Linear(4, 4)),
        parametrizations.weight_norm(nn.Linear(4, 3), dim=None),
    )


def normed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"),
        nn.GroupNorm(2, 6),
        nn.Conv2d(6, 6, (3, 2), padding=(2, 1), padding_mode="circular", groups=3),
        nn.InstanceNorm2d(6, affine=True, track_running_stats=True),
        nn.Conv2d(6, 4, 3, padding=1, padding_mode="replicate", dilation=1),
        nn.LocalResponseNorm(2),
        nn.PReLU(4),
        nn.AdaptiveAvgPool2d((None, 3)),
    )


def halves() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 3)).half()


def cases() -> Iterator[Case]:
    yield entry("dataclass nested", Reports, rows)
    yield entry(
        "keywords beyond",
        Reports,
        lambda n: {"x": rows(n), "scale": rows(n), "bonus": rows(n), "more": rows(n)},
    )
    yield entry(
        "nested in",
        Nested,
        lambda n: (
            {"pair": (rows(n), rows(n)), "weights": [rows(n), rows(n)]},
            {"squash": True, "name": "x"},
        ),
    )
    yield entry("aliases", Aliases, rows)
    yield entry("overlapping views", Overlapping, rows)
    yield entry("counts calls", Accumulates, rows)
    yield entry("caches a table", Caches, steps, dynamic={"x": {1: "steps"}})
    yield entry("straight through", Steered, rows)
    yield entry("caught by a hook", Remembers, rows)
    yield entry("cond nested", CondModules, lambda n: (rows(n), rows(n).abs()))
    yield entry("list by a tensor", Selects, lambda n: (rows(n), torch.tensor(n % 3)))
    yield entry("list by tensors", SelectsAll, lambda n: (rows(n), torch.randint(0, 3, (n,))))
    yield entry("space to depth", Strided, picture)
    yield entry(
        "space to depth any size",
        Strided,
        lambda n: torch.rand(n, 3, 2 * n + 2, 4 * n + 4),
        dynamic={"x": {2: "height", 3: "width"}},
    )
    yield entry("own train()", Frozen, rows)
    yield entry("double", Double, lambda n: steps(n).double(), dynamic={"x": {1: "steps"}})
    yield entry("lightning", lightning, rows)
    yield entry("frozen script of a cnn", frozen_script, picture)
    yield entry("orthogonal and spectral", weighed, rows)
    yield entry("padding modes and norms", normed, picture)
    yield entry(
        "checkpointed in parts",
        lambda: Calls(
            lambda f, x: (
                checkpoint_sequential(nn.Sequential(f, nn.ReLU(), f), 2, x, use_reentrant=False)
                + checkpoint(f, x, use_reentrant=True)
            )
        ),
        rows,
    )
    yield entry(
        "data parallel, compiled",
        lambda: torch.compile(nn.DataParallel(nn.Sequential(nn.Linear(4, 3), nn.Tanh()))),
        rows,
    )
    yield entry(
        "traced with dicts",
        lambda: torch.jit.trace(Call(lambda x: {"a": x * 2, "b": x.sum(1)}), rows(2), strict=False),
        rows,
    )
    yield entry(
        "scripted with optionals", lambda: torch.jit.script(Maybe()), lambda n: (rows(n), None)
    )
    yield entry("decorated", lambda: Calls(torch.inference_mode()(lambda f, x: f(x) * 2)), rows)
    yield entry(
        "vmap within vmap",
        lambda: Call(
            lambda x, y: torch.vmap(
                lambda a: torch.vmap(lambda b: (a * b).sum().tanh().exp().log1p())(y)
            )(x)
        ),
        lambda n: (rows(n).tanh(), rows(n).tanh()),
        factors=(1.0, -0.5),
    )
    yield entry(
        "tensor made of numbers",
        lambda: Calls(
            lambda f, x: f(x) * torch.tensor([1.0, 2.0, 3.0, float(x.dim())]) + x.size(1) ** 0.5
        ),
        rows,
    )
    yield entry(
        "empty and whole",
        lambda: Calls(lambda f, x: torch.cat([x[:0], f(x), x.new_empty(0, 4)])),
        rows,
    )
    yield entry(
        "complex inside",
        lambda: Calls(
            lambda f, x: torch.view_as_real(
                torch.view_as_complex(f(x).view(-1, 2, 2))
                * torch.polar(torch.tensor(1.5), torch.tensor(0.7))
            )
        ),
        rows,
    )
    yield entry(
        "einsum of four",
        lambda: Call(lambda a, b: torch.einsum("bqhd,bkhd->bhqk", a, b).softmax(-1)),
        lambda n: (torch.randn(n, n + 1, 2, 3), torch.randn(n, n + 3, 2, 3)),
        dynamic={"inputs_0": {1: "query"}, "inputs_1": {1: "key"}},
    )
    yield entry("print and log", Prints, rows)


class Maybe(nn.Module):
    def forward(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if y is None:
            y = x * 2
        return x + y, y


class Prints(nn.Module):
    """Says something of its input, and measures time."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        from time import perf_counter

        start = perf_counter()
        y = self.linear(x)
        print(f"{y.shape} in {perf_counter() - start:.3f}s")
        return y
