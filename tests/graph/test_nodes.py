"""The listing of nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from onnxpack.graph.nodes import Node, Value, list_nodes

Save = Callable[..., Path]


def test_names_operators_and_shapes(save: Save) -> None:
    path = save(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"], name="dense"),
            helper.make_node("Relu", ["h"], ["y"]),
        ],
        {"x": ["batch", 8]},
        weights={"w": np.zeros((8, 5), "f4")},
    )
    assert list_nodes(path, dims={"batch": 2}) == (
        Node(
            name="dense",
            operator="MatMul",
            inputs=(Value("x", (2, 8)), Value("w", (8, 5))),
            outputs=(Value("h", (2, 5)),),
            macs=80.0,
        ),
        Node(
            name="Relu_1",
            operator="Relu",
            inputs=(Value("h", (2, 5)),),
            outputs=(Value("y", (2, 5)),),
            macs=0.0,
        ),
    )


def test_bodies_stand_under_their_node(save: Save) -> None:
    def branch(name: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, 1, [2])
        return helper.make_graph([helper.make_node("Neg", ["x"], [name])], name, [], [out])

    path = save(
        [
            helper.make_node(
                "If", ["c"], ["y"], name="if", then_branch=branch("a"), else_branch=branch("b")
            )
        ],
        {"c": [], "x": [2]},
        dtypes={"c": onnx.TensorProto.BOOL},
    )
    assert {node.name for node in list_nodes(path)} == {"if", "if/Neg_0"}
