"""Replace activations whose small values ONNX Runtime computes inexactly.

ONNX Runtime 1.32 computes Sigmoid and Tanh in float32 on CPU as a quotient of polynomials of the
clamped input (MlasComputeLogistic, MlasComputeTanh). Its sigmoid is exact to about 4e-8 and no
further: ``Sigmoid(-9.1)`` is off by 0.04 %, ``Sigmoid(-18)`` is 0. A product, a logarithm or a
derivative of such a number is then wrong. Celu, Elu and Selu subtract 1 from an exponential, so
that a small negative number loses its digits. Written with Exp and Tanh, all are as exact as the
framework's.

This takes more operators. So an activation is rewritten only where its small values count: they
leave the graph, or reach an operator that enlarges small differences. If a graph differs far from
the sample, all activations are rewritten.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.exporters.dtypes import STANDARD, dtype_of, first_input, standard_nodes
from onnxpack.exporters.splice import AXES_ARE_INPUTS, constant, put_in_place
from onnxpack.parity.beside import save_beside

SELU_ALPHA, SELU_GAMMA = 1.6732632, 1.0507010
"""ONNX's defaults for ``alpha`` and ``gamma`` of Selu, in float32."""
NEAR = 0.7
"""Below this magnitude ``1 - exp(-2|x|)`` loses digits, and ONNX Runtime's own Tanh does not."""
CLOSE = {
    "ArgMax", "ArgMin", "Cast", "Ceil", "Div", "Equal", "Floor", "Greater", "GreaterOrEqual",
    "GroupNormalization", "If", "InstanceNormalization", "LayerNormalization", "Less",
    "LessOrEqual", "Log", "Loop", "LpNormalization", "Mod", "NonMaxSuppression", "NonZero", "Pow",
    "RMSNormalization", "Reciprocal", "ReduceLogSum", "Round", "Scan", "Sign", "Sqrt", "TopK",
    "Unique",
}  # fmt: skip
"""Operators that decide by their input, or respond to its ratio to other numbers."""
FROM_ZERO = {
    "ArgMin", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Log", "NonZero",
    "Reciprocal", "ReduceLogSum", "ReduceMin", "Sign",
}  # fmt: skip
"""Operators that tell a number below 1e-38 from 0."""
MOVING = {
    "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Reshape",
    "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Operators that only move numbers."""
SOFTMAX_OF_ONE_AXIS = 13
"""The first opset in which Softmax does not flatten the axes after its own."""
MIXING = {
    "Conv", "ConvTranspose", "DeformConv", "Einsum", "GRU", "Gemm", "LSTM", "LogSoftmax", "MatMul",
    "RNN", "Softmax",
}  # fmt: skip
"""Operators after which an error of 4e-8 is one rounding among many."""


def sharpen(model: ir.Model) -> None:
    """Make each activation exact, in place, if its small values count.

    The logarithm of ``1 - tanh(x)**2``, in the density of a squashed normal distribution, depends
    on how far a Tanh is from 1. ONNX Runtime's Softmax is exact but for numbers below 1e-38, which
    become 0: only a logarithm and a comparison distinguish them.
    """
    opset = model.opset_imports.get("", 0)
    if opset >= SOFTMAX_OF_ONE_AXIS:
        for node in standard_nodes(model, ("Softmax",)):
            if dtype_of(first_input(node)) == ir.DataType.FLOAT and _is_told_from_zero(node):
                tape = Tape()
                result = _softmax(tape, node, opset)
                put_in_place(node, tape.nodes, result)
    for node in _activations(model):
        if _is_read_closely(node.outputs[0]):
            _make_exact(node)


def write_exact_activations(source: Path, to: Path) -> bool:
    """Write a graph to ``to`` with all its activations exact; write nothing if it has none.

    Args:
        source: the graph's file.
        to: the file to write.

    Returns:
        Whether the graph has any activation.
    """
    model = ir.load(source)
    found = _activations(model)
    for node in found:
        _make_exact(node)
    if found:
        save_beside(model, to)
    return bool(found)


def _activations(model: ir.Model) -> list[ir.Node]:
    found = standard_nodes(model, _WRITTEN)
    return [node for node in found if dtype_of(first_input(node)) == ir.DataType.FLOAT]


def _make_exact(node: ir.Node) -> None:
    tape = Tape()
    result = _WRITTEN[node.op_type](tape, first_input(node), node)
    put_in_place(node, tape.nodes, result)


def _is_read_closely(value: ir.Value) -> bool:
    """Return whether a value's relative error shows in an output or an operator's answer."""
    open_values, seen = [value], set[int]()
    while open_values:
        each = open_values.pop()
        if each.is_graph_output():
            return True
        users = [node for node, _ in each.uses() if id(node) not in seen]
        seen |= {id(node) for node in users}
        if any(node.op_type in CLOSE or node.domain not in STANDARD for node in users):
            return True
        for node in users:
            open_values += () if node.op_type in MIXING else node.outputs
    return False


def _is_told_from_zero(node: ir.Node) -> bool:
    """Return whether the smallest of the shares decide something, with nothing added to them."""
    open_values = [node.outputs[0]]
    while open_values:
        users = [user for user, _ in open_values.pop().uses()]
        if any(user.op_type in FROM_ZERO for user in users):
            return True
        for user in users:
            open_values += user.outputs if user.op_type in MOVING else ()
    return False


def _softmax(tape: Tape, node: ir.Node, opset: int) -> ir.Value:
    """Write a softmax with Exp, which ONNX Runtime computes down to 1e-45."""
    x, axis = first_input(node), node.attributes.get_int("axis", -1)
    axes = constant(tape, [axis], np.int64)
    if opset >= AXES_ARE_INPUTS:
        largest = tape.op("ReduceMax", [x, axes])
    else:
        largest = tape.op("ReduceMax", [x], {"axes": [axis]})
    power = tape.op("Exp", [tape.op("Sub", [x, largest])])
    return tape.op("Div", [power, tape.op("ReduceSum", [power, axes])])


def _sigmoid(tape: Tape, x: ir.Value, _node: ir.Node) -> ir.Value:
    """Write a sigmoid as ``1 / (1 + exp(-x))``; where exp overflows, the result 0 is correct."""
    power = tape.op("Exp", [tape.op("Neg", [x])])
    return tape.op("Reciprocal", [tape.op("Add", [power, constant(tape, 1, np.float32)])])


def _tanh(tape: Tape, x: ir.Value, _node: ir.Node) -> ir.Value:
    """Write ``sign(x) * (1 - 2 exp(-2|x|) / (1 + exp(-2|x|)))``; keep Tanh near zero.

    The only subtraction is of an exact number from 1, so the result is correctly rounded near 1.
    """
    size, one = tape.op("Abs", [x]), constant(tape, 1, np.float32)
    power = tape.op("Exp", [tape.op("Mul", [size, constant(tape, -2, np.float32)])])
    rest = tape.op("Div", [tape.op("Add", [power, power]), tape.op("Add", [one, power])])
    far = tape.op("Sub", [one, rest])
    signed = tape.op("Mul", [far, tape.op("Sign", [x])])
    is_near = tape.op("Less", [size, constant(tape, NEAR, np.float32)])
    return tape.op("Where", [is_near, tape.op("Tanh", [x]), signed])


def _elu(tape: Tape, x: ir.Value, node: ir.Node) -> ir.Value:
    """Write an Elu as ``alpha * (exp(x) - 1)`` below zero."""
    alpha = node.attributes.get_float("alpha", 1.0)
    return _where_negative(tape, x, _scaled(tape, _expm1(tape, x), alpha), x)


def _celu(tape: Tape, x: ir.Value, node: ir.Node) -> ir.Value:
    """Write a Celu as ``alpha * (exp(x / alpha) - 1)`` below zero."""
    alpha = node.attributes.get_float("alpha", 1.0)
    below = _expm1(tape, _scaled(tape, x, 1 / alpha))
    return _where_negative(tape, x, _scaled(tape, below, alpha), x)


def _selu(tape: Tape, x: ir.Value, node: ir.Node) -> ir.Value:
    """Write a Selu as ``gamma * alpha * (exp(x) - 1)`` below zero, else ``gamma * x``."""
    alpha = node.attributes.get_float("alpha", SELU_ALPHA)
    gamma = node.attributes.get_float("gamma", SELU_GAMMA)
    below = _scaled(tape, _expm1(tape, x), gamma * alpha)
    return _where_negative(tape, x, below, _scaled(tape, x, gamma))


def _expm1(tape: Tape, x: ir.Value) -> ir.Value:
    """Write ``exp(x) - 1`` as ``tanh(x / 2) * (exp(x) + 1)``, which is exact near zero."""
    half = tape.op("Tanh", [_scaled(tape, x, 0.5)])
    return tape.op(
        "Mul", [half, tape.op("Add", [tape.op("Exp", [x]), constant(tape, 1, np.float32)])]
    )


def _where_negative(tape: Tape, x: ir.Value, below: ir.Value, above: ir.Value) -> ir.Value:
    return tape.op("Where", [tape.op("Less", [x, constant(tape, 0, np.float32)]), below, above])


def _scaled(tape: Tape, x: ir.Value, factor: float) -> ir.Value:
    return tape.op("Mul", [x, constant(tape, factor, np.float32)])


_WRITTEN: dict[str, Callable[[Tape, ir.Value, ir.Node], ir.Value]] = {
    "Celu": _celu,
    "Elu": _elu,
    "Selu": _selu,
    "Sigmoid": _sigmoid,
    "Tanh": _tanh,
}
