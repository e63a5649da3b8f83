"""``onnxpack audit``, as it is typed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import onnxpack as package


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pack, rows, and a folder with a copy of its graph and one that is torn."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    pack = package.export(model, torch.randn(2, 16), tmp_path / "net", labels=list("abcd"))
    assert pack.manifest is not None
    rows = np.random.default_rng(0).standard_normal((80, 16)).astype(np.float32)
    np.savez(tmp_path / "rows.npz", **{pack.manifest.signature.inputs[0].name: rows})
    (tmp_path / "others").mkdir()
    shutil.copy(pack.model_path, tmp_path / "others" / "copy.onnx")
    return tmp_path


def test_the_table_and_the_exit_code(onnxpack: Callable[..., Any], folder: Path) -> None:
    line = (
        "audit", folder / "others", "--reference", folder / "net", "--data", folder / "rows.npz",
        "--max-loss", "0.05",
    )  # fmt: skip
    told = onnxpack(*line)
    assert told.code == 0, told.err
    assert told.out.splitlines()[1].split()[0] == "copy.onnx"
    (folder / "others" / "torn.onnx").write_bytes(b"torn")
    told = onnxpack(*line, "--json")
    assert told.code == 1
    assert [each["finding"] for each in told.json][1] == "broken"
