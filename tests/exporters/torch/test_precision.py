"""Models of low precision: proven against the same weights in float32, and said so."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import ExportError
from onnxpack.exporters.torch.rewrite.precision import UNCAST, refuse_far

HALF, BRAIN = torch.float16, torch.bfloat16


class Low(nn.Module):
    def __init__(self, weights: Any, given: Any = None, *, autocast: bool = False) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(weights)
        self.given, self.autocast = given, autocast

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", BRAIN, enabled=self.autocast):
            return self.net(x if self.given is None else x.to(self.given))


class Named(Low):
    def forward(self, x: Tensor) -> Tensor:
        ones = torch.ones(4, dtype=BRAIN)
        return self.net(x.bfloat16() * ones).type(torch.float32)


class Knows(nn.Module):
    """Computes something else where it finds itself in low precision."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(4, 3).to(BRAIN)

    def forward(self, x: Tensor) -> Tensor:
        y = self.net(x)
        return y * 2 if y.dtype is BRAIN else y


def x(n: int) -> Tensor:
    return torch.randn(n, 4)


CASES: dict[str, tuple[Any, Any, str]] = {
    "float16": (lambda: Low(HALF), HALF, "float16"),
    "bfloat16": (lambda: Low(BRAIN), BRAIN, "float32"),
    "float16 inside": (lambda: Low(HALF, HALF), torch.float32, "float32"),
    "bfloat16 inside": (lambda: Low(BRAIN, BRAIN), torch.float32, "float32"),
    "by name": (lambda: Named(BRAIN), torch.float32, "float32"),
    "autocast": (lambda: Low(torch.float32, autocast=True), torch.float32, "float32"),
}


@pytest.mark.parametrize("name", CASES)
def test_proven_in_float32(tmp_path: Any, name: str) -> None:
    make, dtype, told = CASES[name]
    torch.manual_seed(0)
    model = make()
    before = copy.deepcopy(model.state_dict())
    pack = onnxpack.export(model, x(2).to(dtype), tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.source.strategy == "torchscript trace in float32"
    assert [spec.dtype for spec in pack.manifest.signature.inputs] == [told]
    for key, tensor in model.state_dict().items():
        assert tensor.dtype is before[key].dtype
        assert torch.equal(tensor, before[key])
    given = x(7).to(dtype).float()
    with torch.no_grad():
        wanted = copy.deepcopy(model.net).float()(given)
        own = model(given.to(dtype)).float()
    feed = given.numpy().astype(told)
    found = next(iter(onnxpack.Model(pack).run({"x": feed}).values()))
    np.testing.assert_allclose(found, wanted.numpy(), rtol=2e-3, atol=1e-3)
    np.testing.assert_allclose(found, own.numpy(), rtol=0.1, atol=0.1)


def test_it_is_told(tmp_path: Any) -> None:
    told: list[str] = []
    onnxpack.export(Low(BRAIN), x(2).bfloat16(), tmp_path / "pack", progress=told.append)
    assert any("computes with the same weights in float32" in line for line in told)


def test_autocast_is_told(tmp_path: Any) -> None:
    pack = onnxpack.export(Low(torch.float32, autocast=True), x(2), tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.notes == (UNCAST,)
    pack = onnxpack.export(Low(torch.float32), x(2), tmp_path / "other")
    assert pack.manifest is not None
    assert pack.manifest.notes == ()


@pytest.mark.parametrize("other", [-1e8, -1e38, 1.7e9])
def test_one_large_number_hides_no_other_answer(other: float) -> None:
    wide = {"y": torch.linspace(1, 2, 12).reshape(3, 4)}
    masked = {"y": wide["y"].clone()}
    masked["y"][:, 3] = other
    near = {"y": masked["y"].bfloat16()}
    refuse_far(near, masked)
    far = {"y": near["y"].clone()}
    far["y"][1, 1] += 0.5
    with pytest.raises(ExportError, match="more than its low precision explains"):
        refuse_far(far, masked)


def test_another_answer_in_low_precision_is_refused(tmp_path: Any) -> None:
    with pytest.raises(ExportError, match="more than its low precision explains"):
        onnxpack.export(Knows(), x(2).bfloat16(), tmp_path / "pack")
    assert list(tmp_path.iterdir()) == []


class Wide(nn.Module):
    """A convolution of float64, which onnxruntime cannot run on CPU."""

    def __init__(self, *, offset: float = 0.0) -> None:
        super().__init__()
        self.net = nn.Conv1d(1, 2, 3).double()
        self.offset = offset

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.net(x.double()) * torch.ones(1, dtype=torch.float64)
        return (y + self.offset) - self.offset, y.float()


def test_float64_without_kernels(check: Any) -> None:
    pack = check.proven(Wide, lambda n: torch.randn(n, 1, 6), fresh=(1, 4))
    assert pack.manifest.source.strategy == "torchscript trace in float32"
    assert [spec.dtype for spec in pack.manifest.signature.outputs] == ["float64", "float32"]
    assert "is float64" in pack.manifest.notes[-1]


def test_float64_that_float32_cannot_hold(check: Any) -> None:
    refused = check.refused(
        lambda: Wide(offset=1e9),
        lambda n: torch.randn(n, 1, 6),
        onnxpack.errors.ParityError,
        "do not fit into float32",
    )
    assert "possible cause" in str(refused)
