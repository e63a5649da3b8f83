"""Sums of integers are exact.

ONNX Runtime 1.32 on CPU adds integers in float64 (ReduceSum, also of int32): beyond 2**53 it loses
the low bits, and where a framework wraps round it gives the largest integer instead. Hashes of
n-grams and sums of identifiers get there. A sum is therefore taken of the upper and of the lower 32
bits apart, of which float64 holds two million exactly. Products cannot be taken apart so.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.errors import ExportError
from onnxpack.exporters.dtypes import dtype_of, first_input
from onnxpack.exporters.splice import put_in_place

HALF = 2**32
WIDE = (ir.DataType.INT32, ir.DataType.INT64)
MEASURES = ("Shape", "Size")


def add_exactly(model: ir.Model) -> None:
    """Make each sum of integers exact, in place.

    Raises:
        ExportError: the graph multiplies integers along an axis, which ONNX Runtime computes in
            float64; or the dtype of a sum or product is unknown.
    """
    reduced = [
        node
        for node in model.graph.all_nodes()
        if node.domain in ("", "ai.onnx") and node.op_type in ("ReduceSum", "ReduceProd")
    ]
    for node in reduced:
        value = first_input(node)
        dtype = dtype_of(value)
        if dtype is None:
            raise ExportError(
                f"the dtype of the numbers that {node.name or node.op_type!r} reduces is unknown: "
                "if they are integers, ONNX Runtime computes them in float64"
            )
        if dtype not in WIDE or _is_small(value):
            continue
        if node.op_type == "ReduceProd":
            raise ExportError(
                "the graph multiplies the integers along an axis, which ONNX Runtime does in "
                "float64: beyond 2**53 it would be wrong"
            )
        _take_apart(node, value, dtype)


def _is_small(value: ir.Value) -> bool:
    """Whether the integers are truth values, or are made of nothing but sizes."""
    producer = value.producer()
    if producer is not None and producer.op_type == "Cast" and _is_truth(producer.inputs[0]):
        return True
    return _is_made_of_sizes(value)


def _is_truth(value: ir.Value | None) -> bool:
    return value is not None and dtype_of(value) == ir.DataType.BOOL


def _is_made_of_sizes(whole: ir.Value) -> bool:
    open_values = [whole]
    seen: set[int] = set()
    while open_values:
        value = open_values.pop()
        if id(value) in seen or value.is_initializer():
            continue
        seen.add(id(value))
        producer = value.producer()
        if producer is None:
            return False
        if producer.op_type not in MEASURES:
            open_values += [each for each in producer.inputs if each is not None]
    return True


def _take_apart(node: ir.Node, value: ir.Value, dtype: ir.DataType) -> None:
    """``sum(x)`` is ``sum(x // 2**32) * 2**32 + sum(x % 2**32)``."""
    tape = Tape()

    def summed(part: ir.Value) -> ir.Value:
        return tape.op("ReduceSum", [part, *node.inputs[1:]], dict(node.attributes))

    half = tape.op("Constant", [], {"value": ir.tensor(np.array(HALF, np.int64))})
    wide = tape.op("Cast", [value], {"to": ir.DataType.INT64})
    low = tape.op("Mod", [wide, half])
    high = tape.op("Div", [tape.op("Sub", [wide, low]), half])
    whole = tape.op("Add", [tape.op("Mul", [summed(high), half]), summed(low)])
    result = tape.op("Cast", [whole], {"to": dtype})
    put_in_place(node, tape.nodes, result)
