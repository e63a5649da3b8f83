"""Inputs of size 0 where ONNX Runtime does not survive them, or makes a number of nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import FeedError


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.layer = kind(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Any:
        return self.layer(x)[0]


class Products(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("bnd,bmd->bnm", x, x)


class Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class Largest(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.amax(1)


@pytest.mark.parametrize("model", [Recurrent(nn.GRU), Recurrent(nn.LSTM), Products()])
def test_an_empty_batch_is_refused_and_the_process_lives(model: Any, tmp_path: Path) -> None:
    pack = onnxpack.export(model.eval(), torch.randn(2, 6, 3), tmp_path / "pack")
    with pytest.raises(FeedError, match="'batch' is 0, but the pack was proven only with"):
        onnxpack.Model(pack)(np.zeros((0, 6, 3), np.float32))


def test_the_largest_of_nothing_is_refused(tmp_path: Path) -> None:
    dynamic = {"x": {0: "batch", 1: "time"}}
    pack = onnxpack.export(Largest(), torch.randn(2, 6, 3), tmp_path / "pack", dynamic=dynamic)
    model = onnxpack.Model(pack)
    with pytest.raises(FeedError, match="'time' is 0"):
        model(np.zeros((2, 0, 3), np.float32))
    assert np.asarray(model(np.zeros((0, 6, 3), np.float32))).shape == (0, 3)


def test_a_mean_of_nothing_is_nan(tmp_path: Path) -> None:
    dynamic = {"x": {0: "batch", 1: "time"}}
    pack = onnxpack.export(Mean(), torch.randn(2, 6, 3), tmp_path / "pack", dynamic=dynamic)
    model = onnxpack.Model(pack)
    for shape in ((2, 0, 3), (0, 6, 3)):
        x = torch.zeros(shape)
        np.testing.assert_array_equal(model(x.numpy()), Mean()(x).numpy())


@pytest.mark.parametrize("options", [{}, {"lowercase": False}, {"dtype": np.float32}])
def test_a_batch_without_texts_is_refused_with_a_cure(options: Any, tmp_path: Path) -> None:
    texts = np.array(["a fox jumps", "the dog", "fox dog cat"], dtype=object)
    model = CountVectorizer(**options).fit(texts)
    pack = onnxpack.export(model, texts, tmp_path / "pack")
    with pytest.raises(FeedError, match="'batch' is 0") as caught:
        onnxpack.Model(pack)(np.array([], dtype=object))
    assert "leave out empty inputs" in caught.value.remedy
