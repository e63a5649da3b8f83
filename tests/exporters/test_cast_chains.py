"""ONNX Runtime leaves out the middle of two casts, and the graph keeps it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

import onnxpack
from onnxpack.exporters.cast_chains import keep_middle_casts

LARGE = [0, 1.7, -2.7, 300, 2049.5, 70000, 16777217, 3e9, -3e9, 5e9 + 3]


def chain(*dtypes: int) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", [f"v{at}"], [f"v{at + 1}"], to=dtype)
        for at, dtype in enumerate(dtypes[1:])
    ]
    ends = [
        helper.make_tensor_value_info(f"v{at}", dtypes[at], ["n"]) for at in (0, len(dtypes) - 1)
    ]
    graph = helper.make_graph(nodes, "casts", ends[:1], ends[1:])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])


def run(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {session.get_inputs()[0].name: values})[0]


@pytest.mark.parametrize(
    "dtypes",
    [
        (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32),
        (TensorProto.DOUBLE, TensorProto.INT64, TensorProto.UINT8),
        (TensorProto.INT64, TensorProto.FLOAT, TensorProto.INT16),
        (TensorProto.INT64, TensorProto.DOUBLE, TensorProto.INT32),
        (TensorProto.INT32, TensorProto.FLOAT16, TensorProto.INT8),
        (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8),
    ],
)
def test_two_casts_are_one_after_the_other(dtypes: tuple[int, ...]) -> None:
    with np.errstate(invalid="ignore"):
        values = np.array(LARGE).astype(helper.tensor_dtype_to_np_dtype(dtypes[0]))
    first = run(chain(*dtypes[:2]), values)
    apart = run(chain(*dtypes[1:]), first)
    model = chain(*dtypes)
    assert not np.array_equal(run(model, values), apart), "ONNX Runtime keeps it: drop the module"
    kept = ir.from_proto(model)
    keep_middle_casts(kept)
    np.testing.assert_array_equal(run(ir.to_proto(kept), values), apart)


class Bucket(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 1000).long().int() & 1023


def test_a_hash_wraps_as_in_pytorch(tmp_path: Path) -> None:
    sample = torch.rand(2, 4, generator=torch.manual_seed(0)) * 100
    model = onnxpack.Model(onnxpack.export(Bucket(), sample, tmp_path / "pack"))
    far = torch.tensor([[1.5, 99.0, 3e6, 5e6], [12345678.0, -3e6, -5e7, 1e9]])
    np.testing.assert_array_equal(model(far.numpy()), Bucket()(far).numpy())
