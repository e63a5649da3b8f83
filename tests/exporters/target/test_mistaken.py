"""Samples that are something else: the message says what, and the cure works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import onnxpack
from onnxpack.errors import SampleError

LOADER = DataLoader(TensorDataset(torch.ones(4, 3), torch.zeros(4)), batch_size=2)


@pytest.mark.parametrize(
    ("sample", "cause"),
    [
        ((1, 3), r"the sample \(1, 3\) is a shape, not an array"),
        ([1, 3], r"the sample \[1, 3\] is a shape, not an array"),
        ("1x3", "the sample '1x3' is a shape, not an array"),
        (LOADER, "the sample is a DataLoader, which gives batches of inputs"),
        ([torch.ones(2, 3), torch.zeros(2)], "a DataLoader gives inputs together with their"),
        (np.ones((2, 3)), "the sample is float64, NumPy's default"),
    ],
    ids=["tuple", "list", "text", "loader", "batch", "float64"],
)
def test_the_cure_works(sample: Any, cause: str, tmp_path: Path) -> None:
    model = nn.Linear(3, 2).eval()
    with pytest.raises(SampleError, match=cause) as refused:
        onnxpack.export(model, sample, tmp_path / "pack")
    names: dict[str, Any] = {"sample": sample, "numpy": np}
    exec(refused.value.remedy, names)
    onnxpack.export(model, names["sample"], tmp_path / "pack")
