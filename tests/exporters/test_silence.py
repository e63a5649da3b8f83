"""Float noise and error are told apart by the model's own answer in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.exporters.torch.subject import TorchSubject


class Deep(nn.Module):
    """Each layer makes the errors of those before it larger."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range(5))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(x)
        for layer in self.layers:
            x = torch.sin(6 * layer(x))
        return x


class Stubborn(nn.Module):
    """Its code fixes float32, so there is no answer in float64."""

    def forward(self, x: Tensor) -> Tensor:
        return x @ torch.ones(4, 4, dtype=torch.float32)


class Uncopied(nn.Module):
    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("not me")

    def forward(self, x: Tensor) -> Tensor:
        return x * 2


def test_a_right_model_beyond_the_tolerance_is_proven_and_says_so(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pack = onnxpack.export(Deep(), torch.randn(2, 64), tmp_path / "pack")
    assert pack.manifest is not None
    outputs = [case.outputs[0] for case in pack.manifest.parity.cases]
    assert any(output.noise > 0 for output in outputs)
    assert all(output.passed for output in outputs)
    proof = onnxpack.Model(pack).prove()
    assert proof.ok
    assert any(" as noise" in finding.message for finding in proof.findings)


@pytest.mark.parametrize("model", [Stubborn(), Uncopied()])
def test_a_model_without_an_answer_in_float64(tmp_path: Path, model: nn.Module) -> None:
    subject = TorchSubject(model.eval(), torch.randn(2, 4))
    assert subject.run_float64(subject.sample) is None
    assert onnxpack.Model(onnxpack.export(model, torch.randn(2, 4), tmp_path / "p")).prove().ok


def test_float64_leaves_the_model_in_float32() -> None:
    model = nn.Linear(4, 3)
    subject = TorchSubject(model, torch.randn(2, 4))
    exact = subject.run_float64(subject.sample)
    assert exact is not None
    assert exact["output"].dtype == "float64"
    assert model.weight.dtype == torch.float32
