"""The nodes of a graph, one by one, with the shapes of what they take and give."""

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
    """What flows along an edge: its name, and its shape where that can be told."""

    name: str
    shape: tuple[int | None, ...] | None


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node.

    Attributes:
        name: its name; in the body of an If, Loop or Scan it follows that node's name and ``/``.
        operator: with its domain where that is not ONNX's own.
        macs: multiply-accumulate operations of one run of it; None where they cannot be told.
    """

    name: str
    operator: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    macs: float | None


def list_nodes(path: Path, *, dims: Mapping[str, int] | None = None) -> tuple[Node, ...]:
    """Return the nodes of the graph at ``path`` in its order, functions written out.

    Args:
        path: an ``.onnx`` file.
        dims: sizes for dynamic dims by name; those that are not named have size 1.

    Raises:
        PackError: it is not a graph.
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
