"""Find the dtype of a value in a graph, also if the exporter has not stated it.

onnx's shape inference is not used: it ends the process at a graph of character n-grams (onnx 1.22),
and ONNX Runtime 1.32 rewrites the Reshape of a detector's boxes by a shape that was inferred so
that it fails without boxes.
"""

from __future__ import annotations

from collections.abc import Container

import onnx_ir as ir

STANDARD = ("", "ai.onnx")
"""The names of ONNX's own domain."""

TRUTH = {
    "And", "Equal", "Greater", "GreaterOrEqual", "IsInf", "IsNaN", "Less", "LessOrEqual", "Not",
    "Or", "Xor",
}  # fmt: skip
PLACES = {"ArgMax", "ArgMin", "NonMaxSuppression", "NonZero", "Shape", "Size"}
"""Operators whose result is an index or a size, in int64."""
FLOATS = {"ConstantOfShape", "TfIdfVectorizer"}
"""Operators whose result is float32, unless an attribute states another dtype."""
SECOND = {"CastLike": 1, "DequantizeLinear": 1, "OneHot": 2, "QuantizeLinear": 2, "Where": 1}
"""Operators whose result has the dtype of another input than the first."""
OTHER_OUTPUTS = {"TopK", "Unique"}
"""Operators whose further outputs are indices, in int64."""


def standard_nodes(model: ir.Model, operators: Container[str]) -> list[ir.Node]:
    """Return the nodes with these standard ONNX operators, also in branches and loops."""
    return [
        node
        for node in model.graph.all_nodes()
        if node.domain in STANDARD and node.op_type in operators
    ]


def first_input(node: ir.Node) -> ir.Value:
    """Return the first input of a node: the value that the operator works on.

    Raises:
        ValueError: the node has no first input; the checker of ONNX refuses such a graph.
    """
    value = node.inputs[0]
    if value is None:
        raise ValueError(f"{node.op_type} without an input")
    return value


def dtype_of(value: ir.Value) -> ir.DataType | None:
    """Return the dtype of a value, as stated or as the operators before the value imply.

    Returns None if it is unknown, for example after an operator of another domain.
    """
    found: ir.Value | ir.DataType | None = value
    seen: set[int] = set()
    while isinstance(found, ir.Value) and found.dtype is None and id(found) not in seen:
        seen.add(id(found))
        node = found.producer()
        found = None if node is None else _given(node, found.index() or 0)
    return found.dtype if isinstance(found, ir.Value) else found


def _given(node: ir.Node, place: int) -> ir.Value | ir.DataType | None:
    """Return the dtype of one output of an operator, or the value whose dtype it has."""
    if node.op_type in TRUTH:
        return ir.DataType.BOOL
    if node.op_type in PLACES or (node.op_type in OTHER_OUTPUTS and place > 0):
        return ir.DataType.INT64
    stated = node.attributes.get("to") or node.attributes.get("dtype")
    if stated is not None:
        return ir.DataType(stated.as_int())
    constant = node.attributes.get("value")
    if constant is not None:
        return constant.as_tensor().dtype
    return ir.DataType.FLOAT if node.op_type in FLOATS else _source(node, place)


def _source(node: ir.Node, place: int) -> ir.Value | None:
    inner = node.attributes.get("then_branch") or node.attributes.get("body")
    if inner is not None:
        condition = 1 if node.op_type == "Loop" else 0  # the first that a loop's body gives
        return inner.as_graph().outputs[place + condition]
    source = SECOND.get(node.op_type, 0)
    known = node.domain in STANDARD and source < len(node.inputs)
    return node.inputs[source] if known else None
