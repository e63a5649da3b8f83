"""Python decides from values that few inputs have, or from what was found, raised or asked."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from case import Case
from torch import Tensor, nn

from modules.entry import Calls, Low, entry, rows

RARE = (1.0, -1.5, 1000.0)
"""Factors, of which the last takes the way that the proof's own inputs do not."""


class EarlyExit(nn.Module):
    """A classifier of two stages: the second is asked where the first is not sure."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 3), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        logits = self.first(x)
        return logits if logits.abs().mean() > 200 else self.second(x)


class ClampsOverflow(nn.Module):
    """A hook that clamps what explodes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.layer.register_forward_hook(
            lambda _module, _given, y: y.clamp(-9, 9) if y.abs().max().item() > 300 else y
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


def outliers(layer: nn.Module, x: Tensor) -> Tensor:
    found = torch.nonzero(x > 300)
    y = layer(x)
    return y if found.shape[0] == 0 else y.index_fill(0, found[:, 0], 0.0)


def selected(layer: nn.Module, x: Tensor) -> Tensor:
    chosen = x[x[:, 0].abs() > 300]
    return layer(x) + (chosen.mean(0) if len(chosen) else 0.0)


def jittered(layer: nn.Module, x: Tensor) -> Tensor:
    y = layer(x)
    gram = y.t() @ y + torch.eye(4) * 1e-3
    try:
        return torch.linalg.cholesky(gram)
    except RuntimeError:
        return torch.linalg.cholesky(gram + torch.eye(4))


def traced(layer: nn.Module, x: Tensor) -> Tensor:
    y = layer(x)
    if not torch.jit.is_tracing() and not torch.compiler.is_compiling() and x.shape[0] > 6:
        y = y / 2
    return y


def printed(layer: nn.Module, x: Tensor) -> Tensor:
    peak = float(f"{x.abs().max():.1f}")
    return layer(x) if peak < 300 else layer(x) / peak


def budgeted(layer: nn.Module, x: Tensor) -> Tensor:
    y = layer(x)
    return y - y.mean(0) if x.nbytes <= 64 else y


class Halves(nn.Module):
    """Halves until it is small."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        while y.abs().max() > 300:
            y = y / 2
        return y


class Narrow(Low):
    """A network of low precision whose code decides."""

    def __init__(self, net: nn.Module, kind: torch.dtype, *, autocast: bool = False) -> None:
        weights = torch.float32 if autocast else kind
        super().__init__(weights, None if autocast else kind, autocast=autocast)
        self.net = net.to(weights)


def cases() -> Iterator[Case]:
    for name, make in (("early exit", EarlyExit), ("clamped in a hook", ClampsOverflow)):
        yield entry(f"branching/{name}", make, rows, factors=RARE)
    yield entry("branching/halved until small", Halves, rows, factors=RARE)
    for name, function in (
        ("count of nonzero", outliers),
        ("count of a selection", selected),
        ("peak in an f-string", printed),
        ("budget in bytes", budgeted),
        ("cholesky or jitter", jittered),
        ("asks for a tracer", traced),
    ):
        make = lambda function=function: Calls(function)  # noqa: E731
        yield entry(f"branching/{name}", make, rows, factors=RARE)
    for name, net in (("early exit", EarlyExit), ("hook", ClampsOverflow), ("loop", Halves)):
        for kind in (torch.float16, torch.bfloat16):
            make = lambda net=net, kind=kind: Narrow(net(), kind)  # noqa: E731
            label = f"low precision/{name}, {str(kind).removeprefix('torch.')}"
            yield entry(label, make, rows, factors=RARE)
        make = lambda net=net: Narrow(net(), torch.bfloat16, autocast=True)  # noqa: E731
        yield entry(f"low precision/{name}, autocast", make, rows, factors=RARE)
