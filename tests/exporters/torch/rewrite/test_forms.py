"""Scripted models, which nothing decomposes: forms that agree, or a refusal."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onnxpack.errors import ExportError

_place = Path(__file__).parents[1] / "decompose" / "graphs.py"
_spec = importlib.util.spec_from_file_location("graphs", _place)
assert _spec is not None
assert _spec.loader is not None
graphs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(graphs)

WHOLE = torch.arange(-12, 12).reshape(2, 12)
SAME = torch.zeros(8, 1, dtype=torch.int64)
ONE_AXIS = {"x": {1: "n"}}


class Division(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x // 7, x % 7, torch.div(x, -7, rounding_mode="floor")


class OfFloats(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x // 0.4, x % 0.4, torch.div(x, 0.4, rounding_mode="trunc")


class OfSizes(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, : (x.shape[1] - 9) // 2]


class Line(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.linspace(-1, 3, x.shape[1])


class Rolled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, 3, 1)


class Added(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.zeros(8, 3).index_put((y[:, 0] - 3,), x, accumulate=True)


class Some(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.any(1), x.all(1)


class Bent(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return F.softplus(x), F.softplus(x, 2.0, 5.0), F.softplus(x, 1.0, 0.5)


class Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x[:, None], scale_factor=2.0)


class ToSize(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x[:, None], size=64)


class AddedByMask(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.index_put((x > 0,), torch.tensor(1.0), accumulate=True)


def rows(*sizes: int) -> list[tuple[Tensor]]:
    return [
        (torch.randn(2, size, generator=torch.Generator().manual_seed(size)),) for size in sizes
    ]


MODELS: dict[str, tuple[type[nn.Module], list[tuple[Tensor, ...]], Any]] = {
    "division": (Division, [(WHOLE.abs(),), (WHOLE,)], None),
    "of floats": (OfFloats, [*rows(8), (torch.arange(-8, 8).reshape(2, 8) * 0.4,)], None),
    "of sizes": (OfSizes, rows(16, 1, 3, 4, 9), ONE_AXIS),
    "line": (Line, rows(6, 1, 2, 5, 40), ONE_AXIS),
    "rolled": (Rolled, rows(6, 1, 2, 9), ONE_AXIS),
    "added": (
        Added,
        [(torch.randn(8, 3), torch.arange(8)[:, None]), (torch.randn(8, 3), SAME)],
        None,
    ),
    "some": (Some, [*rows(8), (rows(8)[0][0] * 0.1,)], None),
    "bent": (Bent, [*rows(8), (torch.arange(-8.0, 56.0)[None] / 8,)], ONE_AXIS),
    "twice": (Twice, rows(16, 13, 26), ONE_AXIS),
}


def scripted(kind: type[nn.Module]) -> Any:
    with warnings.catch_warnings(action="ignore"):
        return torch.jit.script(kind())


@pytest.mark.parametrize("name", MODELS)
def test_forms_that_agree(tmp_path: Path, name: str) -> None:
    kind, probes, dynamic = MODELS[name]
    model = scripted(kind).eval()
    session = graphs.session_of(model, probes[0], tmp_path / "model.onnx", dynamic=dynamic)
    graphs.compare(session, model, probes)


@pytest.mark.parametrize(("kind", "said"), [(ToSize, "neighbours"), (AddedByMask, "no ONNX form")])
def test_what_cannot_be_written_is_refused(tmp_path: Path, kind: Any, said: str) -> None:
    with pytest.raises(ExportError, match=said):
        graphs.session_of(scripted(kind).eval(), rows(16)[0], tmp_path / "model.onnx")
