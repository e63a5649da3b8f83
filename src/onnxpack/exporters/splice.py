"""Put several nodes in the place of one."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir


def put_in_place(node: ir.Node, made: Sequence[ir.Node], result: ir.Value) -> None:
    """Replace a node by others, of which ``result`` takes the place of its only output.

    Raises:
        ValueError: the node is in no graph.
    """
    graph = node.graph
    if graph is None:
        raise ValueError(f"the node {node.name!r} is in no graph")
    name_new(made, node)
    ir.convenience.replace_nodes_and_values(graph, node, [node], made, node.outputs, [result])


def name_new(made: Sequence[ir.Node], node: ir.Node) -> None:
    """Name new nodes, and their values that have no name, after the node that they stand for.

    Names that are given on saving are unique in one graph only, and the body of a loop would repeat
    those of the graph around it, which ONNX forbids.
    """
    for place, each in enumerate(made):
        each.name = f"{node.name or node.op_type}/{each.op_type}_{place}"
        for value in each.outputs:
            value.name = value.name or f"{node.outputs[0].name}/{each.op_type}_{place}"
