"""The mean of nothing is NaN, in the pack as in PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onnxpack


class Selected(nn.Module):
    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        return hidden[attention_mask == 1].mean(0)


class Of(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("sample_of_ones", [True, False])
def test_of_tokens_that_a_mask_keeps(tmp_path: Path, sample_of_ones: bool) -> None:
    hidden, mask = torch.randn(2, 6, 4), torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0]])
    model = Selected().eval()
    sample = (hidden, torch.ones_like(mask) if sample_of_ones else mask)
    pack = onnxpack.Model(onnxpack.export(model, sample, tmp_path / "pack"))
    for kept in (mask, mask * 0):
        wanted = model(hidden, kept).numpy()
        np.testing.assert_allclose(pack(hidden.numpy(), kept.numpy()), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.mean(),
        lambda x: x.mean(0),
        lambda x: (x > 0).float().mean(0),
        lambda x: x.var(0),
        lambda x: x.std(),
        lambda x: (x.argmax(1) == 0).float().mean(),
        lambda x: x.double().mean((0, 1)),
        lambda x: x.mean(0, keepdim=True),
    ],
    ids=["all", "rows", "share", "var", "std", "accuracy", "float64", "keepdim"],
)
def test_of_a_batch_without_rows(tmp_path: Path, function: Any) -> None:
    model = Of(function).eval()
    pack = onnxpack.Model(onnxpack.export(model, torch.randn(3, 8), tmp_path / "pack"))
    for rows in (0, 3):
        x = torch.randn(rows, 8)
        np.testing.assert_allclose(pack(x.numpy()), model(x).numpy(), rtol=1e-5, atol=1e-6)
