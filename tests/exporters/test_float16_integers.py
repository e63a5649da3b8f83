"""Whole numbers made of float16 arithmetic are refused; moved and cast ones are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import ExportError

FAR = torch.tensor([[5, 2049, 4099, 16463, 20001, -3001]])


class Calls(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda t: (t.half() + 1).long() * 2, "Add computes in float16, and Cast makes"),
        (lambda t: ((t.half() * 3).reshape(-1) / 7).floor(), "Div computes in float16, and Floor"),
    ],
)
def test_arithmetic_is_refused(
    function: Callable[[Tensor], Tensor], operator: str, tmp_path: Path
) -> None:
    sample = torch.randint(0, 9, (3, 6), generator=torch.manual_seed(0))
    with pytest.raises(ExportError, match=operator):
        onnxpack.export(Calls(function), sample, tmp_path / "pack")


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t.half().long(),
        lambda t: t.half().reshape(-1, 2)[:, :1].int(),
    ],
)
def test_what_is_only_rounded_is_exact(
    function: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    sample = torch.randint(0, 9, (3, 6), generator=torch.manual_seed(0))
    model = onnxpack.Model(onnxpack.export(Calls(function), sample, tmp_path / "pack"))
    np.testing.assert_array_equal(model(FAR.numpy()), function(FAR).numpy())
