"""Python's numbers in a script: the ones of a pack decide as those of the model."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import ExportError


class AboveFive(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if int(x.max()) > 5:
            return x * 2
        return x


class Halved(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        for _ in range(int(x.abs().max().item())):
            x = x * 0.5
        return x


class IsZero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if int(x.sum()) == 0:
            return x - 1
        return x


class AboveATenth(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.max()) > 0.1:
            return x * 2
        return x


class AtLeastATenth(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.max().item() >= 0.1:
            return x * 2
        return x


class BelowSevenTenths(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.max()) < 0.7:
            return x * 2
        return x


class OfAFloat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if int(float(x.max())) > 5 and -float(x.min()) > min(float(x.max()), 0.5):
            return x * 2
        return x


class AboveAnInteger(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if float(x.max()) > 5:
            return x * 2
        return x


class Rounds(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if math.floor(float(x.max())) >= 6:
            return x * 2
        return x


class Divides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + float(x.sum()) // 0.3


class Accumulates(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        end = float(x.abs().max())
        t = 0.0
        while t < end:
            t += 0.1
        return x + t


def beside(number: float) -> list[float]:
    own = np.float32(number)
    return [float(np.nextafter(own, np.float32(end))) for end in (-9, 9)] + [float(own)]


NUMBERS = [
    5.5, 5.99, 6.0, 5.0, -5.5, -0.5, 0.5, 0.99, 1.01, 7.7, *beside(0.1), *beside(0.7),
]  # fmt: skip


@pytest.mark.parametrize(
    "model",
    [
        AboveFive(),
        Halved(),
        IsZero(),
        AboveATenth(),
        AtLeastATenth(),
        BelowSevenTenths(),
        OfAFloat(),
        AboveAnInteger(),
    ],
)
def test_they_decide_alike(tmp_path: Path, model: nn.Module) -> None:
    pack = onnxpack.export(model, torch.randn(2, 3), tmp_path / "pack")
    run = onnxpack.Model(pack)
    for number in NUMBERS:
        x = torch.tensor([[number, -9.0, 0.0 if number > -1 else -9.0]])
        (found,) = run.run({"x": x.numpy()}).values()
        np.testing.assert_allclose(found, model(x).numpy(), rtol=1e-6, err_msg=str(number))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("model", [AboveATenth(), AtLeastATenth(), BelowSevenTenths()])
def test_they_decide_alike_between_two_numbers_of_float32(
    tmp_path: Path, model: nn.Module, dtype: torch.dtype
) -> None:
    run = onnxpack.Model(onnxpack.export(model, torch.randn(2, 3, dtype=dtype), tmp_path / "pack"))
    for number in (0.0999999995, 0.1, 0.1000000005, 0.69999999, 0.7, 0.70000001):
        x = torch.full((1, 3), number, dtype=dtype)
        (found,) = run.run({"x": x.numpy()}).values()
        np.testing.assert_allclose(found, model(x).numpy(), rtol=1e-6, err_msg=str(number))


@pytest.mark.parametrize("model", [Rounds(), Divides(), Accumulates()])
def test_other_decisions_by_floats_are_refused(tmp_path: Path, model: nn.Module) -> None:
    with pytest.raises(ExportError, match="depends on a Python float"):
        onnxpack.export(model, torch.randn(2, 3), tmp_path / "pack")


@pytest.mark.filterwarnings("ignore:.torch.jit.script:FutureWarning")
def test_the_script_of_the_user_is_left_as_it_was(tmp_path: Path) -> None:
    script = torch.jit.script(AboveFive())  # type: ignore[no-untyped-call]
    before = str(script.graph)
    onnxpack.export(script, torch.randn(2, 3), tmp_path / "pack")
    assert str(script.graph) == before
    assert "aten::to" not in str(torch.jit.script(AboveFive()).graph)  # type: ignore[no-untyped-call]
