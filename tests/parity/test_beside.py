"""Saving a graph whose weights go into a file beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnxpack.parity.beside import save_beside
from onnxpack.runtime.model import Model

WEIGHT = np.arange(900, dtype=np.float32)


@pytest.mark.parametrize("count", [0, 2, 500])
def test_texts_stay_in_the_graph(tmp_path: Path, count: int) -> None:
    names = [f"klasse {number} ü" for number in range(count)] or ["none"]
    nodes = [
        helper.make_node("Add", ["x", "w"], ["y"]),
        helper.make_node("Identity", ["names"], ["labels"]),
    ]
    info = helper.make_tensor_value_info
    texts = helper.make_tensor(
        "names", TensorProto.STRING, [len(names)], [name.encode() for name in names]
    )
    graph = helper.make_graph(
        nodes,
        "g",
        [info("x", TensorProto.FLOAT, [900])],
        [info("y", TensorProto.FLOAT, [900]), info("labels", TensorProto.STRING, [len(names)])],
        [numpy_helper.from_array(WEIGHT, "w"), *([texts] if count else [])],
    )
    if not count:
        graph.node[1].CopyFrom(helper.make_node("Constant", [], ["labels"], value=texts))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, tmp_path / "before.onnx")
    save_beside(ir.load(tmp_path / "before.onnx"), tmp_path / "after.onnx")
    assert (tmp_path / "after.onnx.data").exists()
    found = Model(tmp_path / "after.onnx", provider="cpu").run({"x": WEIGHT})
    np.testing.assert_array_equal(found["y"], WEIGHT * 2)
    assert found["labels"].tolist() == names
