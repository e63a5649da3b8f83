"""Sums along axes that are much longer than in any case of the proof."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.exporters.long_sums import LONG, sum_in_float64

STEPS = 2**20
ROWS, PIXELS = (2, 9, 4), (2, 3, 8, 8)


class Applies(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "sample", "long"),
    [
        (lambda x: x.mean(1), ROWS, (1, STEPS, 4)),
        (lambda x: x.sum(1), ROWS, (1, STEPS, 4)),
        (lambda x: x.std(1) + x.mean(1), ROWS, (1, STEPS, 4)),
        (lambda x: x.cumsum(1)[:, -1], ROWS, (1, STEPS, 4)),
        (lambda x: (x * (x > 0)).sum(1) / (x > 0).sum(1), ROWS, (1, STEPS, 4)),
        (lambda x: x.mean(-1), PIXELS, (1, 3, 2, STEPS)),
        (lambda x: x.mean((2, 3)), PIXELS, (1, 3, 2**10, 2**10)),
        (lambda x: nn.functional.adaptive_avg_pool2d(x, 1), PIXELS, (1, 3, 2**10, 2**10)),
    ],
    ids=["mean", "sum", "std", "running", "masked", "last axis", "two axes", "pool"],
)
def test_equal_numbers_keep_their_mean(tmp_path: Path, function, sample, long) -> None:
    """Added in float32 one after the other, they would be off by 1 %."""
    dynamic = {"x": {axis: f"n{axis}" for axis in range(1, len(sample)) if sample[axis] > 4}}
    model = Applies(function)
    pack = onnxpack.export(model, torch.rand(sample), tmp_path / "pack", dynamic=dynamic)
    x = torch.full(long, 0.1)
    np.testing.assert_allclose(onnxpack.Model(pack)(x.numpy()), model(x), rtol=1e-5)


def graph_of(*nodes: str, shape: str, opset: int = 18) -> ir.Model:
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
        network (float[{shape}] x) => (float[*] y) {{ {" ".join(nodes)} }}"""
    return ir.from_onnx_text(text.replace("float[*]", "float"))


MEAN = "axes = Constant <value_ints = [1]> () y = ReduceMean (x, axes)"


@pytest.mark.parametrize(
    ("nodes", "shape", "changes"),
    [
        (MEAN, f"batch, {LONG}", True),
        (MEAN, f"batch, {LONG - 1}", False),
        (MEAN, "batch, time", True),
        ("y = ReduceMean (x)", "128, 128", True),
        ("y = ReduceMean (x)", "127, 128", False),
        ("y = ReduceL2 (x)", "batch, time", False),
        ("y = GlobalAveragePool (x)", "batch, 3, 7, 7", False),
        ("y = GlobalAveragePool (x)", "batch, 3, height, width", True),
    ],
)
def test_only_long_axes_are_summed_in_float64(nodes: str, shape: str, changes: bool) -> None:
    model = graph_of(nodes, shape=shape)
    before = [node.op_type for node in model.graph]
    sum_in_float64(model)
    assert ([node.op_type for node in model.graph] != before) == changes


def test_a_pool_of_an_older_opset(tmp_path: Path) -> None:
    model = graph_of("y = GlobalAveragePool (x)", shape="1, 2, height, width", opset=13)
    sum_in_float64(model)
    ir.save(model, tmp_path / "pool.onnx")
    onnx.checker.check_model(tmp_path / "pool.onnx")
    x = np.full((1, 2, 1000, 1000), 0.1, np.float32)
    answer = onnxpack.Model(tmp_path / "pool.onnx")(x)
    np.testing.assert_allclose(answer, np.full((1, 2, 1, 1), 0.1), rtol=1e-6)
