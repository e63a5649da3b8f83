"""A pooled window of minus infinities stays minus infinity."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import onnxpack


class MaxOverWords(nn.Module):
    """The largest score of the words that are there; padding has the id 0."""

    def __init__(self, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.pool = nn.Embedding(20, 4, padding_idx=0), pool

    def forward(self, ids: Tensor) -> Tensor:
        words = self.embedding(ids).masked_fill((ids == 0)[..., None], -math.inf).transpose(1, 2)
        found = self.pool(words)
        return found.masked_fill(found == -math.inf, 0.0)


@pytest.mark.parametrize(
    "pool",
    [
        lambda x: functional.adaptive_max_pool1d(x, 1),
        lambda x: functional.max_pool1d(x, 2),
        lambda x: functional.max_pool2d(x[:, None], (1, 3), 1, (0, 1))[:, 0],
        lambda x: x.amax(2),
    ],
    ids=["whole", "windows", "padded", "reduced"],
)
def test_a_text_without_words(pool: Callable[[Tensor], Tensor], tmp_path: Path) -> None:
    model = MaxOverWords(pool).eval()
    sample = torch.randint(1, 20, (2, 6), generator=torch.manual_seed(0))
    pack = onnxpack.export(model, sample, tmp_path / "pack")
    ids = torch.tensor([[3, 4, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    with torch.no_grad():
        wanted = model(ids).numpy()
    np.testing.assert_allclose(onnxpack.Model(pack)(ids.numpy()), wanted, rtol=1e-6)


def test_a_pool_without_a_mask_stays(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2)).eval()
    pack = onnxpack.export(model, torch.randn(1, 1, 8, 8), tmp_path / "pack")
    operators = [node.op_type for node in onnx.load(pack.model_path).graph.node]
    assert operators == ["Conv", "Relu", "MaxPool"]
