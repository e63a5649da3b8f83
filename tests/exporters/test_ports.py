"""Names of inputs and outputs: internal values give way, and what no node reads is added."""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir
import pytest

from onnxpack.errors import ExportError
from onnxpack.exporters.ports import add_unread, name_ports
from onnxpack.signature import TensorSpec


def graph_of(*nodes: str, inputs: str = "float[n] x", outputs: str = "float[n] y") -> ir.Graph:
    body = "\n".join(nodes)
    text = f'<ir_version: 8, opset_import: ["" : 18]> g ({inputs}) => ({outputs}) {{ {body} }}'
    return ir.from_proto(onnx.parser.parse_model(text)).graph


def checked(graph: ir.Graph) -> onnx.ModelProto:
    """What other programs read: every value has one name, and every name one value."""
    model = ir.to_proto(ir.Model(graph, ir_version=8))
    onnx.checker.check_model(model, full_check=True)
    return model


def names(values: Any) -> list[str]:
    return [value.name for value in values]


def test_an_internal_value_gives_way() -> None:
    graph = graph_of("cat = Abs(x)", "y = Neg(cat)")
    name_ports(graph, ["cat"], ["cat_1"])
    model = checked(graph)
    assert (names(model.graph.input), names(model.graph.output)) == (["cat"], ["cat_1"])
    assert list(model.graph.node[1].input) == ["cat_2"]


def test_names_are_exchanged() -> None:
    graph = graph_of("y = Neg(x)")
    name_ports(graph, ["y"], ["x"])
    checked(graph)
    assert (names(graph.inputs), names(graph.outputs)) == (["y"], ["x"])


BRANCH = """
    c = ReduceSum(x)
    b = Cast<to=9>(c)
    y = If(b)<then_branch = t () => (float[n] num) { num = Abs(x) },
              else_branch = e () => (float[n] cat) { num = Neg(x) cat = Abs(num) }>
"""


def test_values_in_branches_give_way() -> None:
    graph = graph_of(BRANCH)
    name_ports(graph, ["num"], ["cat"])
    checked(graph)


def test_an_input_that_is_an_output() -> None:
    graph = graph_of("y = Neg(x)", outputs="float[n] x, float[n] y")
    name_ports(graph, ["a"], ["b", "c"])
    checked(graph)
    assert (names(graph.inputs), names(graph.outputs)) == (["a"], ["b", "c"])


def test_one_value_twice() -> None:
    graph = graph_of("y = Neg(x)", outputs="float[n] y, float[n] y")
    name_ports(graph, ["a"], ["b", "c"])
    checked(graph)


def test_another_number_is_refused() -> None:
    with pytest.raises(ExportError, match="has 1 inputs, expected 2"):
        name_ports(graph_of("y = Neg(x)"), ["a", "b"], ["c"])


def test_what_no_node_reads_is_added_in_its_place() -> None:
    graph = graph_of("first = Abs(x)", "y = Neg(first)")
    specs = [TensorSpec("first", "int64", (2, "n")), TensorSpec("x", "float32", ("n",)),
             TensorSpec("text", "str", ("n",))]  # fmt: skip
    add_unread(graph, specs)
    checked(graph)
    assert names(graph.inputs) == ["first", "x", "text"]


def test_a_foreign_input_is_left_to_be_refused() -> None:
    graph = graph_of("y = Neg(x)")
    add_unread(graph, [TensorSpec("z", "float32", None), TensorSpec("a", "float32", None)])
    assert names(graph.inputs) == ["x"]
