from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxpack.exporters.trees.graph import Graph
from onnxpack.runtime.model import Model


@pytest.mark.parametrize(("opset", "version"), [(18, 8), (21, 10), (99, 12)])
def test_versions(tmp_path: Path, opset: int, version: int) -> None:
    graph = Graph(opset)
    graph.output("y", graph.input("x", np.float32, ["batch", 2]), np.float32)
    graph.save(tmp_path / "g.onnx")
    model = onnx.load(tmp_path / "g.onnx")
    assert model.ir_version == version
    assert [(o.domain, o.version) for o in model.opset_import] == [("", opset)]


def test_strings_and_several_outputs(tmp_path: Path) -> None:
    graph = Graph(18)
    text = graph.input("text", object, ["batch", 1])
    code = graph.add(
        "LabelEncoder", text, domain="ai.onnx.ml",
        keys_strings=["a", "b"], values_int64s=[4, 5], default_int64=-1,
    )  # fmt: skip
    pair = graph.add("Concat", code, graph.cast(code, np.int64), axis=1)
    first, second = graph.add_many("Split", pair, graph.constant([1, 1]), outputs=2, axis=1)
    graph.output("first", first, np.int64)
    graph.output("same", text, object)
    graph.output("sum", graph.add("Add", first, second), np.int64)
    graph.save(tmp_path / "g.onnx")
    found = Model(tmp_path / "g.onnx", provider="cpu").run({"text": np.array([["b"], ["c"]])})
    assert found["first"].tolist() == [[5], [-1]]
    assert found["sum"].tolist() == [[10], [-2]]


def test_internal_names_and_outputs_give_way_to_inputs(tmp_path: Path) -> None:
    graph = Graph(18)
    columns = [
        graph.input(name, np.float32, ["batch", 1]) for name in ("label", "Add/1", "constant/1")
    ]
    graph.output("label", graph.add("Add", columns[0], columns[1]), np.float32)
    graph.output("same", graph.add("Add", columns[2], graph.constant(0, np.float32)), np.float32)
    graph.save(tmp_path / "g.onnx")
    feeds = {name: np.full((1, 1), 2, np.float32) for name in ("label", "Add/1", "constant/1")}
    found = Model(tmp_path / "g.onnx", provider="cpu").run(feeds)
    assert {name: float(value[0, 0]) for name, value in found.items()} == {
        "label_output": 4,
        "same": 2,
    }
