"""The small model that overheads are measured on: an MLP of 64-64-10, whose run takes µs."""

from __future__ import annotations

from pathlib import Path

import torch

import onnxpack


def make_pack(folder: Path) -> onnxpack.Pack:
    """Export the MLP into ``folder/mlp``."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    return onnxpack.export(model, torch.randn(1, 64), folder / "mlp")
