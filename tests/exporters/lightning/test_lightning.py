"""Lightning modules bring their own sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import pytest
import pytorch_lightning
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import SampleError

HOMES = {"lightning": lightning, "pytorch-lightning": pytorch_lightning}


def make(home: Any, example: Any) -> Any:
    class Lit(home.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3))
            self.example_input_array = example

        def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
            y = self.body(x)
            return y if scale is None else y * scale

    return Lit()


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize(
    "example",
    [
        torch.randn(1, 4),
        (torch.randn(2, 4), torch.randn(2, 1)),
        {"x": torch.randn(2, 4), "scale": torch.randn(2, 1)},
    ],
    ids=["tensor", "tuple", "dict"],
)
def test_its_own_sample(check: Any, home: str, example: Any) -> None:
    model = make(HOMES[home], example)
    pack = check.proven(lambda: model, lambda n: None, fresh=())
    names = ["x"] if isinstance(example, Tensor) else ["x", "scale"]
    assert [spec.name for spec in pack.manifest.signature.inputs] == names
    assert pack.manifest.source.framework == "lightning"
    assert pack.manifest.source.framework_version == HOMES[home].__version__
    fresh = (torch.randn(7, 4), torch.randn(7, 1))[: len(names)]
    check.compare(pack, model, [fresh])
    assert model.training


def test_a_sample_of_the_users_goes_first(check: Any) -> None:
    pack = check.proven(lambda: make(lightning, torch.randn(2, 9)), lambda n: torch.randn(n, 4))
    assert str(pack.manifest.signature.inputs[0]) == "float32[batch, 4]"


def test_without_any_sample_the_remedy_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="Lit has no example_input_array") as caught:
        onnxpack.export(make(lightning, None), None, tmp_path / "pack")
    assert "self.example_input_array = torch.zeros(1, ...)" in caught.value.remedy
    assert caught.value.option == "--sample 1x3x224x224"


class Decides(lightning.LightningModule):
    """A branch on a value, which only scripting keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear(x)
        return y * 2 if bool(y.sum() > 0) else y - 1


def test_a_branch_is_scripted(check: Any) -> None:
    pack = check.proven(Decides, lambda n: torch.randn(n, 4))
    assert pack.manifest.source.strategy == "torchscript script"
