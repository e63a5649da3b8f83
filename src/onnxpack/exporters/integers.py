"""Make sums and products of integers exact.

ONNX Runtime 1.32 on CPU reduces integers in float64 (ReduceSum and ReduceProd, also of int32):
beyond 2**53 it loses the low bits, and where a framework wraps around it gives the largest integer
instead. Hashes of n-grams and sums of identifiers get that large. So the upper and the lower 32
bits are summed separately: float64 holds the sum of two million such numbers exactly. A product is
taken step by step: Mul of integers wraps around.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.errors import ExportError
from onnxpack.exporters.dtypes import dtype_of, first_input, standard_nodes
from onnxpack.exporters.splice import constant, put_in_place

HALF = 2**32
WIDE = (ir.DataType.INT32, ir.DataType.INT64)
MEASURES = ("Shape", "Size")


def add_exactly(model: ir.Model) -> None:
    """Make each sum and product of integers exact, in place.

    Raises:
        ExportError: the dtype of an operator's input is unknown, or a product is taken along
            several axes.
    """
    for node in standard_nodes(model, ("ReduceSum", "ReduceProd")):
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
            _multiply_in_steps(node, value, dtype)
        else:
            _take_apart(node, value, dtype)


def _is_small(value: ir.Value) -> bool:
    """Return whether the integers are bools or are computed only from sizes."""
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
    """Write ``sum(x)`` as ``sum(x // 2**32) * 2**32 + sum(x % 2**32)``."""
    tape = Tape()

    def summed(part: ir.Value) -> ir.Value:
        return tape.op("ReduceSum", [part, *node.inputs[1:]], dict(node.attributes))

    half = constant(tape, HALF, np.int64)
    wide = tape.op("Cast", [value], {"to": ir.DataType.INT64})
    low = tape.op("Mod", [wide, half])
    high = tape.op("Div", [tape.op("Sub", [wide, low]), half])
    whole = tape.op("Add", [tape.op("Mul", [summed(high), half]), summed(low)])
    result = tape.op("Cast", [whole], {"to": dtype})
    put_in_place(node, tape.nodes, result)


def _multiply_in_steps(node: ir.Node, value: ir.Value, dtype: ir.DataType) -> None:
    """Write ``product = product * x[i]`` along the axis, as a Scan.

    Raises:
        ExportError: there are several axes, or the axes are not constant.
    """
    axes = _axes(node)
    if axes is None or len(axes) > 1:
        raise ExportError(
            "the graph multiplies integers along several axes at once, which ONNX Runtime does in "
            "float64: beyond 2**53 it would be wrong"
        )
    tape, keeps = Tape(), bool(node.attributes.get_int("keepdims", 1))
    if not axes:  # the product of all numbers
        value = tape.op("Reshape", [value, constant(tape, [-1], np.int64)])
    axis = axes[0] if axes else 0
    along = constant(tape, [axis], np.int64)
    # Any slice, times 0 and plus 1, has the shape and the dtype of the product.
    least = tape.op("ReduceMin", [value, along], {"keepdims": 0})
    zero, one = (constant(tape, each, dtype.numpy()) for each in (0, 1))
    ones = tape.op("Add", [tape.op("Mul", [least, zero]), one])
    scan: dict[str, Any] = {
        "body": _product_body(dtype),
        "num_scan_inputs": 1,
        "scan_input_axes": [axis],
    }
    result = tape.op("Scan", [ones, value], scan)
    if keeps and axes:
        result = tape.op("Unsqueeze", [result, along])
    if keeps and not axes:
        rank = tape.op("Shape", [tape.op("Shape", [first_input(node)])])
        ones_of_rank = tape.op("Expand", [constant(tape, [1], np.int64), rank])
        result = tape.op("Reshape", [result, ones_of_rank])
    put_in_place(node, tape.nodes, result)


def _axes(node: ir.Node) -> list[int] | None:
    """Return the axes of a reduction, an empty list for all; None if they are not constant."""
    stated = node.attributes.get("axes")
    if stated is not None:
        return [int(axis) for axis in stated.as_ints()]
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if given is None:
        return []
    constant = ir.convenience.get_const_tensor(given)
    return None if constant is None else [int(axis) for axis in constant.numpy().ravel()]


def _product_body(dtype: ir.DataType) -> ir.Graph:
    kind = ir.TensorType(dtype)
    product, number = (ir.Value(name=name, type=kind) for name in ("product", "number"))
    step = ir.node("Mul", [product, number])
    step.outputs[0].name, step.outputs[0].type = "next", kind
    return ir.Graph([product, number], step.outputs, nodes=[step], name="product")
