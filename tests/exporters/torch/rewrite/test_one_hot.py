"""A class out of range is refused by the graph, as by PyTorch's ``one_hot``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import onnxpack
from onnxpack.errors import FeedError

SAMPLE = torch.tensor([[0, 1, 4], [2, 3, 0]])


class Plain(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.one_hot(x, num_classes=5).float()


class Branching(nn.Module):
    """Decides by values, which only a script keeps."""

    def forward(self, x: Tensor) -> Tensor:
        y = functional.one_hot(x, 5)
        return y * 2 if bool(x.sum() > 3) else y


class Scalars(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.one_hot(x.sum() % 5, 5) + x[:, :1] * functional.one_hot(x[:, 1], 5)


def program() -> Any:
    free = torch.export.Dim.DYNAMIC
    return torch.export.export(Plain(), (SAMPLE,), dynamic_shapes=({0: free, 1: free},))


MODELS: dict[str, tuple[Any, str]] = {
    "exported": (Plain, "dynamo"),
    "program": (program, "dynamo"),
    "scalars": (Scalars, "dynamo"),
    "script": (lambda: torch.jit.script(Plain()), "torchscript"),
    "scripted": (Branching, "torchscript script"),
}


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize("kind", MODELS)
def test_a_class_out_of_range_is_refused(tmp_path: Path, kind: str) -> None:
    make, strategy = MODELS[kind]
    model = make()
    pack = onnxpack.export(model, SAMPLE, tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.source.strategy == strategy
    run, call = onnxpack.Model(pack), getattr(model, "module", lambda: model)()
    right = torch.tensor([[4, 0, 2]])
    np.testing.assert_array_equal(run(right.numpy()), call(right).numpy())
    for wrong in (torch.tensor([[0, 7, 0]]), torch.tensor([[1, -1, 0]])):
        with pytest.raises(RuntimeError, match="Class values must be"):
            call(wrong)
        with pytest.raises(FeedError, match="out of data bounds"):
            run(wrong.numpy())
