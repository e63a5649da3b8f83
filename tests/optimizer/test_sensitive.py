"""The layers that int8 costs most are found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxpack.optimizer.sensitive import rank_layers

WIDTH, LAYERS = 16, 4


@pytest.fixture(params=range(LAYERS))
def planted(request: pytest.FixtureRequest) -> int:
    return request.param


def chain(to: Path, planted: int) -> Path:
    """Layers in a row, one of which sees a value a thousand times as large as the others."""
    random = np.random.default_rng(0)
    nodes, weights, name = [], [], "x"
    for at in range(LAYERS):
        weight = np.linalg.qr(random.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
        scale = np.ones(WIDTH, np.float32)
        if at == planted:
            scale[0] = 1000
            weight[0] /= 1000  # float32's answer is the same as without
        weights += [
            numpy_helper.from_array(weight, f"w{at}"),
            numpy_helper.from_array(scale, f"s{at}"),
        ]
        nodes += [
            helper.make_node("Mul", [name, f"s{at}"], [f"m{at}"]),
            helper.make_node("MatMul", [f"m{at}", f"w{at}"], [f"y{at}"], name=f"layer {at}"),
        ]
        name = f"y{at}"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [value(name, TensorProto.FLOAT, ["batch", WIDTH])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, to / "model.onnx")
    return to / "model.onnx"


def test_the_layer_with_an_outlier_comes_first(tmp_path: Path, planted: int) -> None:
    random = np.random.default_rng(1)
    feeds = ({"x": random.standard_normal((1, WIDTH)).astype(np.float32)} for _ in range(4))
    ranked = rank_layers(chain(tmp_path, planted), feeds, threads=1)
    assert ranked[0] == f"layer {planted}"
    assert sorted(ranked) == [f"layer {at}" for at in range(LAYERS)]
