"""Make division of integers by -1 safe.

ONNX Runtime 1.32 divides with the processor's own instruction, and the smallest integer divided by
-1 has no answer: on x86 the process, for example a server, ends with SIGFPE. PyTorch and NumPy
answer the smallest integer, and a remainder of 0.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.exporters.dtypes import dtype_of, first_input, standard_nodes
from onnxpack.exporters.splice import constant, put_in_place

WIDE = {ir.DataType.INT32, ir.DataType.INT64}
"""Dtypes that are rewritten: narrower integers are divided as 32 bits, which hold the quotient."""


def divide_by_minus_one(model: ir.Model) -> None:
    """Rewrite each quotient and remainder whose divisor may be -1 to avoid that division."""
    for node in standard_nodes(model, ("Div", "Mod")):
        divisor = node.inputs[1]
        if divisor is None or dtype_of(first_input(node)) not in WIDE:
            continue
        known = ir.convenience.get_const_tensor(divisor)
        if known is None or (known.numpy() == -1).any():
            _write(node, divisor)


def _write(node: ir.Node, divisor: ir.Value) -> None:
    tape = Tape()
    x = first_input(node)
    minus_one, one = (tape.op("CastLike", [constant(tape, value, "int64"), x]) for value in (-1, 1))
    negates = tape.op("Equal", [divisor, minus_one])
    safe = tape.op("Where", [negates, one, divisor])
    found = tape.op(node.op_type, [x, safe], _modulo(node))
    if node.op_type == "Div":
        found = tape.op("Where", [negates, tape.op("Neg", [found]), found])
    put_in_place(node, list(tape.nodes), found)


def _modulo(node: ir.Node) -> dict[str, int]:
    """Return the attribute that gives the remainder the sign of the dividend, as in C."""
    return {"fmod": node.attributes.get_int("fmod", 0)} if node.op_type == "Mod" else {}
