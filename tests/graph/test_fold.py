"""Shapes that a graph computes for itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxpack.errors import BoundsError
from onnxpack.graph.infer import at_sizes
from onnxpack.graph.nodes import list_nodes
from onnxpack.graph.read import parse_graph
from onnxpack.graph.summary import summarize

Save = Callable[..., Path]


def make(op: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(","), [output], **attributes)


def constant(name: str, *values: int) -> onnx.NodeProto:
    value = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
    return helper.make_node("Constant", [], [name], value=value)


def test_arithmetic_on_a_shape_is_followed(save: Save) -> None:
    """Half of an axis goes to each of two heads, as exporters write it."""
    path = save(
        [
            make("Shape", "x", "s"),
            constant("from", -1),
            constant("to", 9),
            constant("two", 2),
            make("Slice", "s,from,to", "last"),
            make("Div", "last,two", "half"),
            constant("heads", -1, 2),
            make("Concat", "heads,half", "target", axis=0),
            make("Reshape", "x,target", "split"),
            make("MatMul", "split,w", "y"),
        ],
        {"x": ["batch", 16]},
        weights={"w": np.zeros((8, 3), "f4")},
    )
    summary = summarize(path, dims={"batch": 4})
    assert (summary.macs, summary.uncounted) == (4 * 2 * 8 * 3, 0)


def test_a_small_transformer_is_counted_whole(export: Callable[..., Path]) -> None:
    from torchvision.models import VisionTransformer

    module = VisionTransformer(32, 8, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64)
    summary = summarize(export(module, 3, 32, 32))
    tokens, width = 17, 32
    attention = 4 * tokens * width**2 + 2 * tokens**2 * width
    layer = attention + 2 * tokens * width * 64
    assert summary.uncounted == 0
    assert summary.macs == 16 * width * 3 * 64 + 2 * layer + width * 1000


@pytest.mark.parametrize(
    "target", [[2**40, 2**20], [-5, 3], [0, 2**60]], ids=["huge", "negative", "empty"]
)
def test_a_target_that_would_fill_the_memory_is_left_unknown(save: Save, target: list[int]) -> None:
    path = save(
        [
            constant("t", *target),
            make("ConstantOfShape", "t", "big"),
            make("NonZero", "x", "unknown"),
            make("Identity", "big", "y"),
        ],
        {"x": [2]},
    )
    # Whoever summarises the graph refuses the huge one before.
    assert len(at_sizes(parse_graph(path), {}).graph.node) == 4
    if target[0] == 2**40:
        with pytest.raises(BoundsError):
            summarize(path)
    else:
        assert summarize(path).nodes == 4


def test_wrong_nodes_stay_unknown(save: Save) -> None:
    path = save(
        [
            constant("a", 1, 2),
            constant("b", 1, 2, 3),
            make("Add", "a,b", "sum"),
            make("Gather", "a,missing", "none"),
            make("NoSuchOperator", "a", "what"),
            make("Reshape", "x,sum", "y"),
        ],
        {"x": [2, 3]},
    )
    shapes = {node.operator: node.outputs[0].shape for node in list_nodes(path)}
    assert shapes["Constant"] == (3,)
    assert shapes["NoSuchOperator"] is None
