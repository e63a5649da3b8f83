"""Indices, orders, counts: gather, scatter, sort, unique."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from case import Case
from torch import Tensor, nn
from torch.nn import functional as F

from modules.entry import Call, Calls, entry, rows


class InPlace(nn.Module):
    """Slices written in place, also of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x += 1
        x[:, 1:3] *= 2
        y = self.linear(x)
        y[:, 0] = 0
        y[y > 1] = 1
        y[..., -1].add_(x[..., 0])
        return y


class Pooled(nn.Module):
    """Graph pooling: nodes to their graphs, by index_add and scatter_reduce."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        source, target = edges
        messages = self.linear(x)[source]
        out = torch.zeros_like(x).index_add(0, target, messages)
        degree = torch.zeros(x.shape[0]).scatter_add(0, target, torch.ones(target.shape[0]))
        best = torch.full_like(x, -9.0).scatter_reduce(
            0, target[:, None].expand_as(messages), messages, "amax"
        )
        return out / degree.clamp(min=1)[:, None] + best


class Beam(nn.Module):
    """The best k over a flat axis, back to rows and tokens."""

    def forward(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        best, flat = scores.flatten(1).topk(3, dim=-1)
        return best, flat // scores.shape[-1], flat % scores.shape[-1]


class Lookup(nn.Module):
    """Masks, one-hot and embedding bags."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(10, 4, mode=mode)

    def forward(self, ids: Tensor) -> Tensor:
        return self.bag(ids)


class Offsets(nn.Module):
    """An embedding bag over a flat list with offsets."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(10, 4, mode="mean", include_last_offset=False)

    def forward(self, ids: Tensor, offsets: Tensor) -> Tensor:
        return self.bag(ids, offsets)


def assigned(x: Tensor, index: Tensor) -> Tensor:
    y = x.clone()
    y[torch.arange(x.shape[0]), index] = -5
    return y.index_put((index % x.shape[0],), torch.ones(4), accumulate=True)


def ids(n: int, *, high: int = 4) -> Tensor:
    return torch.randint(0, high, (n,))


def graph(n: int) -> tuple[Tensor, Tensor]:
    return rows(n + 2), torch.randint(0, n + 2, (2, 3 * n + 1))


OF_ROWS: dict[str, Any] = {
    "gather": lambda f, x: f(x).gather(1, x.argsort(-1)),
    "take along": lambda f, x: torch.take_along_dim(f(x), x.argmax(-1, keepdim=True), 1),
    "index select": lambda f, x: f(x).index_select(1, torch.tensor([3, 0, 0])),
    "advanced index": lambda f, x: f(x)[:, [2, 0]] + f(x)[..., None, 1],
    "cumsum": lambda f, x: f(x).cumsum(0) + f(x).cumsum(1),
    "cumprod": lambda f, x: f(x).sigmoid().cumprod(1),
    "cummax": lambda f, x: f(x).cummax(1).values,
    "logcumsumexp": lambda f, x: f(x).logcumsumexp(1),
    "sort stable": lambda f, x: torch.sort(x.sign(), dim=1, stable=True),
    "sort down": lambda f, x: f(x).sort(descending=True).values,
    "topk sorted": lambda f, x: f(x).topk(2),
    "topk smallest": lambda f, x: f(x).topk(2, largest=False),
    "kthvalue": lambda f, x: f(x).kthvalue(2).values,
    "median": lambda f, x: f(x).median(dim=1),
    "quantile": lambda f, x: f(x).quantile(0.3, dim=1),
    "mode of signs": lambda f, x: (f(x) > 0).long().mode(1).values,
    "argmax ties": lambda f, x: (x.sign().argmax(1), x.sign().argmin(1), x.sign().max(1)),
    "masked select": lambda f, x: f(x)[x > 0],
    "masked select function": lambda f, x: torch.masked_select(f(x), x.abs() < 0.5),
    "masked fill": lambda f, x: f(x).masked_fill(x < 0, float("-inf")).softmax(-1).nan_to_num(),
    "nonzero": lambda f, x: torch.nonzero(f(x) > 0),
    "nonzero as tuple": lambda f, x: torch.nonzero(f(x) > 0, as_tuple=True),
    "count nonzero": lambda f, x: (f(x) > 0).count_nonzero(dim=1),
    "unique": lambda f, x: torch.unique(f(x).round()),
    "unique consecutive": lambda f, x: torch.unique_consecutive(x.sign().flatten()),
    "roll": lambda f, x: f(x).roll((1, -1), (0, 1)),
    "flip": lambda f, x: f(x).flip(0, 1),
    "searchsorted": lambda f, x: torch.searchsorted(torch.tensor([-1.0, 0.0, 1.0]), f(x)),
    "bucketize": lambda f, x: torch.bucketize(f(x), torch.tensor([-0.5, 0.5]), right=True),
    "histogram by one hot": lambda f, x: F.one_hot(f(x).argmax(-1), 4).sum(0),
    "tril": lambda f, x: (f(x).T @ f(x)).tril(-1) + (f(x).T @ f(x)).triu(1),
    "diagonal": lambda f, x: (f(x).T @ f(x)).diagonal() + torch.diag_embed(f(x)).sum(0).diag(),
    "repeat interleave": lambda f, x: f(x).repeat_interleave(2, dim=0),
    "tile and expand": lambda f, x: f(x).tile(2, 3) + f(x)[:, :1].expand(-1, 12).repeat(2, 1),
    "meshgrid": lambda f, x: torch.stack(torch.meshgrid(f(x)[0], x[-1], indexing="ij")),
    "tensor split": lambda f, x: torch.cat(torch.tensor_split(f(x), 3, dim=1)[::-1], 1),
    "unfold": lambda f, x: f(x).unfold(1, 2, 1).sum(-1),
    "movedim": lambda f, x: f(x).unsqueeze(0).movedim(0, -1).swapaxes(0, 1),
}


def cases() -> Iterator[Case]:
    for name, function in OF_ROWS.items():
        yield entry(name, partial(Calls, function), rows)
    yield entry("in place", InPlace, rows)
    yield entry(
        "graph pooling",
        Pooled,
        graph,
        static=True,
        dynamic={"x": {0: "nodes"}, "edges": {1: "edges"}},
    )
    yield entry("beam", Beam, lambda n: torch.randn(n, 4, n + 3), dynamic={"scores": {2: "tokens"}})
    yield entry("index put", lambda: Call(assigned), lambda n: (rows(n), ids(n)))
    yield entry(
        "bincount",
        lambda: Call(lambda i: torch.bincount(i, minlength=6)),
        lambda n: torch.randint(0, 6, (3 * n,)),
    )
    yield entry("one hot", lambda: Call(lambda i: F.one_hot(i, 5).float()), ids)
    for mode in ("sum", "mean", "max"):
        yield entry(
            f"embedding bag {mode}",
            partial(Lookup, mode),
            lambda n: torch.randint(0, 10, (n, n + 2)),
            dynamic={"ids": {1: "tokens"}},
        )
    yield entry(
        "embedding bag offsets",
        Offsets,
        lambda n: (torch.randint(0, 10, (3 * n,)), torch.arange(n) * 3),
        static=True,
        dynamic={"ids": {0: "tokens"}, "offsets": {0: "batch"}},
    )
