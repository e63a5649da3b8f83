"""Sigmoid and Tanh that stay exact far from zero.

ONNX Runtime 1.32 computes both in float32 on CPU as a quotient of polynomials of the clamped input
(MlasComputeLogistic, MlasComputeTanh). Its sigmoid is exact to about 4e-8 and no further:
``Sigmoid(-9.1)`` is off by 0.04 %, ``Sigmoid(-18)`` is 0. A product, a logarithm or a derivative of
such a number is another one. Written with Exp, the tails are as exact as the framework's. This
takes more operators, so only a graph that differs far from the sample is rewritten.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.exporters.dtypes import dtype_of, first_input
from onnxpack.exporters.splice import put_in_place
from onnxpack.parity.beside import save_beside

NEAR = 0.7
"""Below it, ``1 - exp(-2|x|)`` loses digits, and ONNX Runtime's own Tanh does not."""


def write_exact_tails(source: Path, to: Path) -> bool:
    """Write the graph at ``source`` to ``to`` with exact tails; write nothing if it has none."""
    model = ir.load(source)
    bounded = [
        node
        for node in model.graph.all_nodes()
        if node.domain in ("", "ai.onnx")
        and node.op_type in _WRITTEN
        and dtype_of(first_input(node)) == ir.DataType.FLOAT
    ]
    for node in bounded:
        tape = Tape()
        result = _WRITTEN[node.op_type](tape, first_input(node))
        put_in_place(node, tape.nodes, result)
    if bounded:
        save_beside(model, to)
    return bool(bounded)


def _sigmoid(tape: Tape, x: ir.Value) -> ir.Value:
    """``1 / (1 + exp(-x))``: where exp overflows, 0 is right."""
    power = tape.op("Exp", [tape.op("Neg", [x])])
    return tape.op("Reciprocal", [tape.op("Add", [power, _constant(tape, 1)])])


def _tanh(tape: Tape, x: ir.Value) -> ir.Value:
    """``sign(x) * (1 - exp(-2|x|)) / (1 + exp(-2|x|))``, and as it was near zero."""
    size, one = tape.op("Abs", [x]), _constant(tape, 1)
    power = tape.op("Exp", [tape.op("Mul", [size, _constant(tape, -2)])])
    far = tape.op("Div", [tape.op("Sub", [one, power]), tape.op("Add", [one, power])])
    signed = tape.op("Mul", [far, tape.op("Sign", [x])])
    is_near = tape.op("Less", [size, _constant(tape, NEAR)])
    return tape.op("Where", [is_near, tape.op("Tanh", [x]), signed])


def _constant(tape: Tape, number: float) -> ir.Value:
    return tape.op("Constant", [], {"value": ir.tensor(np.array(number, np.float32))})


_WRITTEN: dict[str, Callable[[Tape, ir.Value], ir.Value]] = {"Sigmoid": _sigmoid, "Tanh": _tanh}
