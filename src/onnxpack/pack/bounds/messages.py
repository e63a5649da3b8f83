"""Read the structure of an untrusted graph, with a limit on the number of its parts.

A message of two bytes takes a hundred bytes or more of a reader's memory, so every message is
counted before a library parses the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from onnxpack.errors import PackError
from onnxpack.pack import wire

MAX_PARTS = 2**19
"""Most parts of a graph that is plain; they are counted in half a second."""

_RUN = re.compile(rb"(?:\x3d.{4})++|(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])++", re.DOTALL)
"""The floats or ints of an attribute, one field for each: a forest of trees has millions."""

_TEXTS: dict[str, frozenset[int]] = {
    "Model": frozenset({2, 3, 4, 6}),
    "Graph": frozenset({2, 10}),
    "Function": frozenset({1, 4, 5, 6, 8, 10, 13}),
    "Node": frozenset({1, 2, 3, 4, 6, 7, 8}),
    "Attribute": frozenset({1, 4, 7, 8, 9, 13, 21}),
    "Tensor": frozenset({1, 4, 5, 6, 7, 8, 9, 10, 11, 12}),
    "Sparse": frozenset({3}),
    "Entry": frozenset({1, 2}),
    "Opset": frozenset({1}),
}
"""The fields of each message that are texts, bytes or packed numbers."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its operator, the names of its values, its attributes, and the graphs in them."""

    name: bytes
    operator: str
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    attributes: tuple[memoryview, ...]
    bodies: tuple[Graph, ...]


@dataclass(slots=True)
class Graph:
    """The parts of a graph that decide how large its constants are."""

    nodes: list[Node] = field(default_factory=list)
    weights: list[memoryview] = field(default_factory=list)
    sparse: list[memoryview] = field(default_factory=list)
    inputs: list[memoryview] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Model:
    """A model: its graph, and the number of its functions."""

    graph: Graph
    functions: int


def read_model(data: memoryview, most: int = MAX_PARTS) -> Model:
    """Return the structure of a model.

    Raises:
        PackError: the bytes are not a model, or have more than ``most`` parts.
    """
    return _Reader(most).model(data)


def text(value: int | memoryview) -> bytes:
    """Return the bytes of a field that should be a text."""
    return b"" if isinstance(value, int) else bytes(value)


class _Reader:
    """One pass over a model that counts its parts."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    def model(self, data: memoryview) -> Model:
        graphs, functions = list[Graph](), 0
        for number, value in self._fields("Model", data, 0):
            if number == 7:
                graphs.append(self._graph(value, 1))
            elif number == 25:
                functions += 1
                self._function(value, 1)
            elif number == 8:
                self._skip("Opset", value, 1)
            elif number == 14:
                self._skip("Entry", value, 1)
            else:
                self._pay(value)
        # A reader merges a message that is written twice.
        if len(graphs) != 1:
            raise PackError(f"it has {len(graphs)} graphs, expected one.")
        return Model(graphs[0], functions)

    def _function(self, data: memoryview, depth: int) -> None:
        for number, value in self._fields("Function", data, depth):
            if number == 7:
                self._node(value, depth + 1)
            elif number == 11:
                self._attribute(value, depth + 1)
            elif number in (9, 14):
                self._skip("Opset" if number == 9 else "Entry", value, depth + 1)
            else:
                self._pay(value)

    def _graph(self, data: memoryview, depth: int) -> Graph:
        graph = Graph()
        for number, value in self._fields("Graph", data, depth):
            if number == 1:
                graph.nodes.append(self._node(value, depth + 1))
            elif number == 5:
                self._skip("Tensor", value, depth + 1)
                graph.weights.append(value)
            elif number == 15:
                self._sparse(value, depth + 1)
                graph.sparse.append(value)
            elif number == 16:
                self._skip("Entry", value, depth + 1)
            else:
                self._pay(value)
                if number == 11:
                    graph.inputs.append(value)
        return graph

    def _node(self, data: memoryview, depth: int) -> Node:
        texts: dict[int, list[bytes]] = {1: [], 2: [], 3: [b""], 4: [b""], 7: [b""]}
        attributes, bodies = list[memoryview](), list[Graph]()
        for number, wire_type, value in wire.read_fields(data, depth=depth):
            self._count()
            if wire_type == wire.VARINT or isinstance(value, int):
                continue
            if number in texts:
                texts[number].append(bytes(value))
            elif number == 5:
                bodies += self._attribute(value, depth + 1)
                attributes.append(value)
            elif number == 9:
                self._skip("Entry", value, depth + 1)
            elif number not in _TEXTS["Node"]:
                self._pay(value)
        operator, domain = texts[4][-1].decode(errors="replace"), texts[7][-1]
        if domain not in (b"", b"ai.onnx"):
            operator = f"{domain.decode(errors='replace')}.{operator}"
        return Node(
            texts[3][-1],
            operator,
            tuple(texts[1]),
            tuple(texts[2]),
            tuple(attributes),
            tuple(bodies),
        )

    def _attribute(self, data: memoryview, depth: int) -> list[Graph]:
        """Return the graphs of an attribute, after all of its parts were counted."""
        found, position = list[Graph](), 0
        while position < len(data):
            run = _RUN.match(data, position)
            if run is not None:
                self._count()
                position = run.end()
                continue
            (number, wire_type, value), position = wire.read_field(data, position)
            self._count()
            if wire_type == wire.VARINT or isinstance(value, int):
                continue
            if number in (6, 11):
                found.append(self._graph(value, depth + 1))
            elif number in (5, 10):
                self._skip("Tensor", value, depth + 1)
            elif number in (22, 23):
                self._sparse(value, depth + 1)
            elif number not in _TEXTS["Attribute"]:
                self._pay(value)
        return found

    def _sparse(self, data: memoryview, depth: int) -> None:
        for number, value in self._fields("Sparse", data, depth):
            if number in (1, 2):
                self._skip("Tensor", value, depth + 1)

    def _skip(self, kind: str, data: memoryview, depth: int) -> None:
        """Count the parts of a message that holds texts, numbers and pairs of texts only."""
        for number, value in self._fields(kind, data, depth):
            if kind == "Tensor" and number in (13, 16):
                self._skip("Entry", value, depth + 1)
            else:
                self._pay(value)

    def _fields(self, kind: str, data: memoryview, depth: int) -> Iterator[tuple[int, memoryview]]:
        """Yield the fields of a message that may hold other messages."""
        texts = _TEXTS[kind]
        for number, wire_type, value in wire.read_fields(data, depth=depth):
            self._count()
            if wire_type == wire.LENGTH and number not in texts and not isinstance(value, int):
                yield number, value

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise self._too_many()

    def _pay(self, value: memoryview) -> None:
        """Count a message that is not read as the most messages that fit into its bytes."""
        self._left -= len(value) // 2
        if self._left < 0:
            raise self._too_many()

    def _too_many(self) -> PackError:
        return PackError(f"it may have more than {self._most} parts.")
