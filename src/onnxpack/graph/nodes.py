"""List the nodes of a graph with the shapes of their inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from onnxpack.graph.infer import at_sizes
from onnxpack.graph.macs import macs_of
from onnxpack.graph.read import bodies, operator, read_graph
from onnxpack.graph.shapes import Shape, dynamic_dims, shapes_of

if TYPE_CHECKING:
    from onnx import GraphProto


class Value(msgspec.Struct, frozen=True):
    """A value on an edge of the graph: its name, and its shape, or None if unknown."""

    name: str
    shape: tuple[int | None, ...] | None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a graph.

    Attributes:
        name: name of the node; in the body of an If, Loop or Scan, that node's name and ``/`` come
            first.
        operator: name of the operator, with its domain unless it is ONNX's own.
        inputs: values that the node takes.
        outputs: values that the node gives.
        macs: multiply-accumulate operations of one run of the node; None if unknown.
    """

    name: str
    operator: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    macs: float | None


def list_nodes(path: Path, *, dims: Mapping[str, int] | None = None) -> tuple[Node, ...]:
    """Return the nodes of the graph at ``path`` in its order, with functions inlined.

    Args:
        path: an ``.onnx`` file.
        dims: sizes of dynamic dims by name; other dims have size 1.

    Raises:
        PackError: the file is not a graph.
    """
    model = read_graph(path)
    named = {name: (dims or {}).get(name, 1) for name in dynamic_dims(model)}
    return tuple(_nodes(at_sizes(model, named).graph, {}, ""))


def _nodes(graph: GraphProto, outer: Mapping[str, Shape], prefix: str) -> Iterator[Node]:
    shapes = {**outer, **shapes_of(graph)}
    for index, node in enumerate(graph.node):
        name = prefix + (node.name or f"{node.op_type}_{index}")
        yield Node(
            name=name,
            operator=operator(node),
            inputs=tuple(Value(value, shapes.get(value)) for value in node.input),
            outputs=tuple(Value(value, shapes.get(value)) for value in node.output),
            macs=macs_of(node, shapes),
        )
        for body in bodies(node):
            yield from _nodes(body, shapes, f"{name}/")
