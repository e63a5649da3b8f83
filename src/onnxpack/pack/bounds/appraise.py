"""Appraise a graph: what do its constants alone make it compute, and is it plain?

ONNX Runtime computes what depends on constants only when it opens a graph (constant folding), and
shape inference propagates such values. So a file of 100 bytes can want terabytes before any input
is given.
"""

from __future__ import annotations

import mmap
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np

from onnxpack.errors import BoundsError, PackError
from onnxpack.pack.bounds.attributes import read_attributes
from onnxpack.pack.bounds.constant import (
    MAX_VALUES,
    OMITTED,
    RANK,
    Constant,
    of_array,
    of_sparse,
    of_tensor,
)
from onnxpack.pack.bounds.evaluate import Attributes, evaluate, number
from onnxpack.pack.bounds.messages import Graph, Node, read_model
from onnxpack.pack.bounds.ports import read_port
from onnxpack.pack.bounds.sizes import RULES, output_of
from onnxpack.units import size

MEMORY = 2 * 2**30
"""Most bytes that a graph may take beyond what its file needs."""
A_BYTE = 8
"""Bytes of memory that a reader needs for each byte of a file."""
PLAIN = 2**29
"""Most bytes of constants that a plain graph computes, beyond the size of its file."""

PROPAGATED = 64
"""Bytes that shape inference takes for each element of what may be a shape."""

Sizes: TypeAlias = tuple[int | None, ...] | None
"""The sizes of an input, with None for a free size; None for a value whose sizes are unknown."""
_Values: TypeAlias = ChainMap[bytes, Constant | Sizes]
_Least: TypeAlias = ChainMap[bytes, Constant]


class Appraisal(NamedTuple):
    """What is known of a graph before a library reads it.

    Attributes:
        doubt: why the graph is not plain, as the end of a sentence; empty if it is.
        memory: most bytes that reading it may take.
    """

    doubt: str
    memory: int


def appraise(graph: mmap.mmap | bytes, name: str, *, beside: int = 0) -> Appraisal:
    """Appraise the bytes of a graph.

    Args:
        graph: bytes of the graph.
        name: name of the file, for messages.
        beside: bytes of the files beside it, of weights and of golden data.

    Raises:
        BoundsError: the graph's constants alone take more memory than a graph may; the message
            names the node.
    """
    memory = MEMORY + A_BYTE * (len(graph) + beside)
    try:
        model = read_model(memoryview(graph))
        ledger = _Ledger(name, memory, PLAIN + A_BYTE * (len(graph) + beside))
        if model.functions:
            ledger.doubts("it defines functions")
        _Scope(ledger, ChainMap(), ChainMap()).visit(model.graph)
    except BoundsError:
        raise
    except PackError as exc:
        # Malformed bytes, too: the library that reads them refuses them in its own words.
        return Appraisal(exc.message.rstrip("."), memory)
    return Appraisal(ledger.doubt, memory)


class _Ledger:
    """Adds up the constants that a graph computes, and keeps the first doubt about it."""

    def __init__(self, name: str, most: int, plain: int) -> None:
        self.doubt = ""
        self._name = name
        self._most = most
        self._plain = plain
        self._total = 0

    def doubts(self, reason: str) -> None:
        """Note why the graph is not plain, unless something was noted before."""
        self.doubt = self.doubt or reason

    def add(self, node: Node, made: Constant) -> None:
        if made.exact and made.bytes > self._most:
            raise self._refusal(f"the output of node {_place(node)}", made)
        self._add(made, f"node {_place(node)}")

    def look(self, node: Node, made: Constant) -> None:
        """Doubt a node that makes too much of the smallest inputs; nothing is added up.

        Shape inference takes a tensor of one axis for a shape, and makes a message of each element.
        """
        taken = made.elements * max(made.item, PROPAGATED if len(made.shape) == 1 else 0)
        if taken > self._plain:
            self.doubts(f"node {_place(node)} takes {size(taken)} with the smallest inputs")

    def add_sparse(self, made: Constant, name: bytes) -> None:
        place = f"the sparse tensor {name[:200].decode(errors='replace')!r}"
        if made.bytes > self._most:
            raise self._refusal(place, made)
        self._add(made, place)

    def _add(self, made: Constant, place: str) -> None:
        self._total += made.bytes
        if self._total > self._plain:
            self.doubts(f"its constants take up to {size(self._total)}, with {place}")

    def _refusal(self, place: str, made: Constant) -> BoundsError:
        return BoundsError(
            f"{self._name} wants {size(made.bytes)} of memory for {place}, whatever its input; "
            f"expected at most {size(self._most)} for a file of this size."
        )


class _Scope:
    """The constants of a graph, and those of the graphs around it."""

    def __init__(
        self, ledger: _Ledger, values: _Values, least: _Least, *, free: bool = False
    ) -> None:
        self._ledger = ledger
        self._values = values
        self._free = free  # whether an input has a free size
        self._least = least  # what nodes make of the smallest inputs

    def visit(self, graph: Graph) -> None:
        """Visit the nodes of a graph in their order.

        Raises:
            BoundsError: a constant takes too much memory.
        """
        ports = dict(map(read_port, graph.inputs))
        self._free |= any(sizes is None or None in sizes for sizes in ports.values())
        self._values.update(ports)
        self._values.update(map(of_tensor, graph.weights))
        for name, found in map(of_sparse, graph.sparse):
            self._ledger.add_sparse(found, name)
            self._values[name] = found
        for node in graph.nodes:
            self._visit(node)

    def _visit(self, node: Node) -> None:
        given = [name for name in node.inputs if name]
        if not all(name in self._values for name in given):
            self._ledger.doubts(f"node {_place(node)} comes before its inputs")
        for body in node.bodies:
            _Scope(
                self._ledger, self._values.new_child(), self._least.new_child(), free=self._free
            ).visit(body)
        if node.operator in ("Loop", "Scan"):
            self._ledger.doubts(f"node {_place(node)} runs a part of it many times")
        made = self._make(node, given)
        self._keep(node, made)
        if made is None:
            self._follow(node)

    def _make(self, node: Node, given: Sequence[bytes]) -> Constant | None:
        """Return what a node makes if it takes constants only, else None."""
        if node.operator == "Constant":
            return _constant(node)
        if node.operator == "Shape" and given:
            return _shape(node, self._values.get(given[0]), free=self._free)
        inputs = [self._values.get(name) if name else OMITTED for name in node.inputs]
        known = [each for each in inputs if isinstance(each, Constant)]
        if node.bodies or len(known) < len(inputs):
            return None
        sized = any(each.sized for each in known)
        try:
            made = _compute(node.operator, known, read_attributes(node))
        except (IndexError, KeyError, OverflowError, ValueError):
            self._ledger.doubts(f"the inputs of node {_place(node)} do not fit it")
            return None
        if made is None and not sized:
            self._ledger.doubts(
                f"its constants alone decide how large the output of node {_place(node)} is"
            )
        return made and replace(made, sized=sized)

    def _follow(self, node: Node) -> None:
        """Look at what a node makes of inputs whose free sizes are 1, where that is known."""
        # Attributes are read only where a rule needs them: a forest of trees has millions.
        if node.operator not in RULES or node.bodies:
            return
        inputs = [self._at_least(name) for name in node.inputs]
        known = [each for each in inputs if each is not None]
        if len(known) < len(inputs):
            return
        try:
            made = output_of(node.operator, known, read_attributes(node))
        except (IndexError, KeyError, OverflowError, ValueError):
            return  # its reader refuses it
        if made is None or not made.exact:
            return
        self._ledger.look(node, made)
        self._least.update(dict.fromkeys(node.outputs, replace(made, values=None)))

    def _at_least(self, name: bytes) -> Constant | None:
        if not name:
            return OMITTED
        found = self._values.get(name)
        if isinstance(found, tuple):
            return Constant(tuple(1 if size is None else size for size in found), 4)
        return found or self._least.get(name)

    def _keep(self, node: Node, made: Constant | None) -> None:
        if made is not None:
            self._ledger.add(node, made)
        for name in node.outputs:
            self._values[name] = made


def _shape(node: Node, source: Constant | Sizes, *, free: bool) -> Constant:
    """Return what a Shape node makes, which depends on the inputs' sizes if they are free."""
    known = source if isinstance(source, Constant) else None
    shape: Sizes = source if isinstance(source, tuple) else None
    if known is not None and known.exact:
        shape = known.shape
    if shape is None:
        # It is inferred, and not known here. If no size is free, it is a constant.
        return Constant((RANK,), exact=False, sized=free)
    attributes = read_attributes(node)
    start, end = number(attributes, b"start", 0), number(attributes, b"end", len(shape))
    part = shape[start:end]
    if None in part:
        return Constant((len(part),), sized=True)
    found = of_array(np.array(part, np.int64))
    return replace(found, sized=known is not None and known.sized)


def _compute(operator: str, inputs: Sequence[Constant], attributes: Attributes) -> Constant | None:
    """Return what a node makes of constants: its values if they are few, else its size."""
    values = [each.values for each in inputs if each.values is not None]
    found = evaluate(operator, values, attributes) if len(values) == len(inputs) else None
    return output_of(operator, inputs, attributes) if found is None else of_array(found)


def _constant(node: Node) -> Constant | None:
    """Return the value of a Constant node; None if it has none, which a reader refuses."""
    for found in read_attributes(node).values():
        if found.tensor is not None:
            return of_tensor(found.tensor)[1]
        if found.sparse is not None:
            return of_sparse(found.sparse)[1]
        if found.strings:
            return Constant((found.strings,), 64)
        if len(found.numbers) > MAX_VALUES:
            return Constant((len(found.numbers),))
        values = np.array(found.numbers, np.float32 if b"float" in found.name else np.int64)
        return of_array(values if found.name.endswith(b"s") else values.reshape(-1)[:1].squeeze())
    return None


def _place(node: Node) -> str:
    operator = node.operator[:100]
    if node.name:
        return f"{node.name[:200].decode(errors='replace')!r} ({operator})"
    outputs = b", ".join(node.outputs[:3])[:200].decode(errors="replace")
    return f"that gives {outputs!r} ({operator})"
