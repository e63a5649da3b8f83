"""The smallest integer over -1 ends no process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import onnxpack

ASK = """
import sys, numpy as np, onnxpack
dtype, path = sys.argv[1:]
least = np.iinfo(dtype).min
x = np.array([[least, 7, -7, least]], dtype)
y = np.array([[-1, -1, -2, 1]], dtype)
for name, found in onnxpack.Model(path).run({"x": x, "y": y}).items():
    print(*found.ravel().tolist())
"""


class Divided(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return x // y, x % y, torch.div(x, y, rounding_mode="trunc"), torch.fmod(x, y)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_the_smallest_integer_over_minus_one(tmp_path: Path, dtype: torch.dtype) -> None:
    x = torch.tensor([[5, -7, 9, 3]], dtype=dtype)
    y = torch.tensor([[2, 3, -2, -1]], dtype=dtype)
    pack = onnxpack.export(Divided().eval(), (x, y), tmp_path / "pack")
    name = str(dtype).removeprefix("torch.")
    # In a process of its own: this one should live to tell.
    told = subprocess.run(
        [sys.executable, "-c", ASK, name, str(pack.path)], capture_output=True, text=True
    )
    assert told.returncode == 0, told.stderr
    least = torch.iinfo(dtype).min
    extremes = torch.tensor([[least, 7, -7, least]], dtype=dtype)
    by = torch.tensor([[-1, -1, -2, 1]], dtype=dtype)
    quotient = np.array([[least, -7, 3, least]])
    rest = (extremes % torch.where(by == -1, 1, by)).numpy()
    wanted = (quotient, rest, np.array([[least, -7, 3, least]]), np.array([[0, 0, -1, 0]]))
    found = [list(map(int, line.split())) for line in told.stdout.splitlines()]
    assert found == [each.ravel().tolist() for each in wanted]
