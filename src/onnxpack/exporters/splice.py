"""Replace one node of a graph by several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import ArrayLike, DTypeLike
from onnx_ir.tape import Tape

AXES_ARE_INPUTS = 18
"""The first opset in which reductions, such as ReduceMax, take their axes as an input."""


def put_in_place(node: ir.Node, made: Sequence[ir.Node], result: ir.Value) -> None:
    """Replace a node by others; ``result`` takes the place of its only output.

    Raises:
        ValueError: the node is not in a graph.
    """
    name_new(made, node)
    outputs = node.outputs
    ir.convenience.replace_nodes_and_values(graph_of(node), node, [node], made, outputs, [result])


def graph_of(node: ir.Node) -> ir.Graph | ir.Function:
    """Return the graph that a node is in.

    Raises:
        ValueError: the node is not in a graph.
    """
    if node.graph is None:
        raise ValueError(f"the node {node.name!r} is in no graph")
    return node.graph


def constant(tape: Tape, values: ArrayLike, dtype: DTypeLike) -> ir.Value:
    """Add a constant to the nodes that are being written, and return its value."""
    return tape.op("Constant", [], {"value": ir.tensor(np.array(values, dtype))})


def name_new(made: Sequence[ir.Node], node: ir.Node) -> None:
    """Name new nodes, and their unnamed values, after the node that they replace.

    Names that are assigned on saving are unique only in one graph. The body of a loop would repeat
    those of the graph around it, which ONNX forbids.
    """
    for place, each in enumerate(made):
        each.name = f"{node.name or node.op_type}/{each.op_type}_{place}"
        for value in each.outputs:
            value.name = value.name or f"{node.outputs[0].name}/{each.op_type}_{place}"
