"""Count multiply-accumulate operations (MACs): the cost of a graph's matrix work.

Convolutions, matrix products, recurrent layers and attention are counted, also in their quantised
and fused forms. Element-wise operators are not: they cost memory traffic, not arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from onnxpack.graph.read import bodies, operator
from onnxpack.graph.shapes import Shape, shapes_of

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


class Macs(NamedTuple):
    """The sum over the nodes that could be counted, and the number of nodes that could not."""

    total: float
    uncounted: int


def count_macs(model: ModelProto) -> Macs:
    """Count the MACs of a graph with inferred shapes (see :func:`onnxpack.graph.infer.at_sizes`).

    The body of a Loop, a Scan or an If is not counted: the graph does not state how often it runs.
    Calls of functions that could not be inlined are not counted either.
    """
    shapes = shapes_of(model.graph)
    functions = {function.name for function in model.functions}
    total, uncounted = 0.0, 0
    for node in model.graph.node:
        uncounted += sum(map(_heavy_nodes, bodies(node))) + (node.op_type in functions)
        if operator(node) in _RULES:
            macs = macs_of(node, shapes)
            total += macs or 0.0
            uncounted += macs is None
    return Macs(total, uncounted)


def macs_of(node: NodeProto, shapes: Mapping[str, Shape]) -> float | None:
    """Return the MACs of one node; None if a shape that they depend on is unknown."""
    rule = _RULES.get(operator(node))
    if rule is None:
        return 0.0
    try:
        return rule(_Call(node, shapes))
    except _UnknownError:
        return None


class _UnknownError(Exception):
    """A shape is unknown, or not possible for this operator."""


class _Call:
    """A node with the shapes of its inputs and outputs; an unknown shape raises an error."""

    def __init__(self, node: NodeProto, shapes: Mapping[str, Shape]) -> None:
        self._node = node
        self._shapes = shapes

    def input(self, index: int, rank: int = 0) -> tuple[int, ...]:
        names = self._node.input
        return self._shape(names[index] if index < len(names) else "", rank)

    def output(self, index: int = 0, rank: int = 0) -> tuple[int, ...]:
        names = self._node.output
        return self._shape(names[index] if index < len(names) else "", rank)

    def attribute(self, name: str, default: Any) -> Any:
        from onnx.helper import get_attribute_value

        found = [a for a in self._node.attribute if a.name == name]
        return get_attribute_value(found[0]) if found else default

    def has(self, index: int) -> bool:
        """Return whether this input is given; an empty name leaves out an optional input."""
        return index < len(self._node.input) and bool(self._node.input[index])

    def _shape(self, name: str, rank: int) -> tuple[int, ...]:
        shape = self._shapes.get(name)
        if shape is None or len(shape) < rank:
            raise _UnknownError
        sizes = tuple(size for size in shape if size is not None)
        if len(sizes) < len(shape):
            raise _UnknownError
        return sizes


def _conv(weight: int) -> Callable[[_Call], float]:
    return lambda call: float(prod(call.output()) * prod(call.input(weight, 2)[1:]))


def _conv_transpose(call: _Call) -> float:
    return float(prod(call.input(0)) * prod(call.input(1, 2)[1:]))


def _matmul(call: _Call) -> float:
    return float(prod(call.output()) * call.input(0, 1)[-1])


def _gemm(call: _Call) -> float:
    return float(prod(call.output()) * call.input(0, 2)[0 if call.attribute("transA", 0) else -1])


def _matmul_n_bits(call: _Call) -> float:
    return float(prod(call.output()) * int(call.attribute("K", 0)))


def _recurrent(call: _Call) -> float:
    steps = prod(call.input(0, 3)[:2])
    return float(steps * (prod(call.input(1)) + prod(call.input(2))))


def _einsum(call: _Call) -> float:
    equation = call.attribute("equation", b"").decode().replace(" ", "")
    if "." in equation:
        raise _UnknownError
    sizes: dict[str, int] = {}
    for index, term in enumerate(equation.split("->")[0].split(",")):
        sizes.update(zip(term, call.input(index, len(term)), strict=False))
    return float(prod(sizes.values())) if call.has(1) else 0.0


def _attention(call: _Call) -> float:
    """Return the MACs of ``q @ k`` and ``weights @ v``, for all keys and past keys."""
    query, key, out = call.input(0, 3), call.input(1, 3), call.output(0, 3)
    past = call.input(4, 3)[-2] if call.has(4) else 0
    return float((key[-2] + past) * (prod(query) + prod(out)))


def _fused_attention(call: _Call) -> float:
    """Return the MACs of the projection to q, k and v, and of a sequence's attention to itself."""
    states, out = call.input(0, 3), call.output(0, 3)
    return float(prod(states[:2]) * prod(call.input(1, 2)) + states[1] * 2 * prod(out))


def _multi_head_attention(call: _Call) -> float:
    query, key, out = call.input(0, 3), call.input(1, 3), call.output(0, 3)
    return float(key[-2] * (prod(query) + prod(out)))


_RULES: dict[str, Callable[[_Call], float]] = {
    "Attention": _attention,
    "Conv": _conv(1),
    "ConvInteger": _conv(1),
    "ConvTranspose": _conv_transpose,
    "DeformConv": _conv(1),
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "QLinearConv": _conv(3),
    "QLinearMatMul": _matmul,
    "RNN": _recurrent,
    "com.microsoft.Attention": _fused_attention,
    "com.microsoft.DynamicQuantizeMatMul": _matmul,
    "com.microsoft.FusedConv": _conv(1),
    "com.microsoft.FusedGemm": _gemm,
    "com.microsoft.FusedMatMul": _matmul,
    "com.microsoft.MatMulIntegerToFloat": _matmul,
    "com.microsoft.MatMulNBits": _matmul_n_bits,
    "com.microsoft.MultiHeadAttention": _multi_head_attention,
}


def _heavy_nodes(graph: Any) -> int:
    """Return how many nodes of a body would be counted if it ran once."""
    return sum(
        (operator(node) in _RULES) + sum(map(_heavy_nodes, bodies(node))) for node in graph.node
    )
