"""A model whose weights alone are above what protobuf can hold."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import onnxpack

ROWS = 2_200_000
"""Of 256 floats each: 2.25 GB."""


class Large(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            weight = torch.empty(ROWS, 256).uniform_(-1, 1)
        self.words = nn.Embedding.from_pretrained(weight)
        self.head = nn.Linear(256, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.words(ids).mean(1))


@pytest.mark.heavy
def test_proven_with_weights_beside_the_graph(tmp_path: Path) -> None:
    model = Large().eval()
    pack = onnxpack.export(model, torch.tensor([[0, 7, ROWS - 1]]), tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.parity.passed
    assert (tmp_path / "pack" / "model.onnx").stat().st_size < 2**20
    assert (tmp_path / "pack" / "model.onnx.data").stat().st_size > 2**31
    onnx.checker.check_model(str(pack.model_path))
    ids = np.random.default_rng(0).integers(0, ROWS, (5, 3))
    with torch.no_grad():
        wanted = model(torch.from_numpy(ids)).numpy()
    del model
    gc.collect()
    np.testing.assert_allclose(
        next(iter(onnxpack.Model(pack).run({"ids": ids}).values())), wanted, rtol=1e-4, atol=1e-5
    )
