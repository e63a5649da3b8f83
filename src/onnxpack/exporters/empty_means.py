"""Make the mean of an empty axis NaN, as frameworks do.

ONNX leaves open what ReduceMean makes of an axis without elements, and ONNX Runtime 1.32 answers 0:
a score that looks like one. NumPy, PyTorch, Keras and JAX divide 0 by 0.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.exporters.dtypes import dtype_of, first_input, standard_nodes
from onnxpack.exporters.splice import AXES_ARE_INPUTS, constant, put_in_place

SUM_TAKES_AXES = 13
SUMMED = {ir.DataType.FLOAT, ir.DataType.DOUBLE}
"""Dtypes of means that are rewritten; in other dtypes a sum may overflow where the mean does
not."""


def divide_by_count(model: ir.Model) -> None:
    """Rewrite each mean over axes that may be empty as a sum divided by a count."""
    opset = model.opset_imports.get("", 0)
    if opset < SUM_TAKES_AXES:
        return
    for node in standard_nodes(model, ("ReduceMean",)):
        axes = reduced_axes(node, opset)
        if axes is not None and dtype_of(first_input(node)) in SUMMED and _may_be_empty(node, axes):
            _write(node, axes)


def reduced_axes(node: ir.Node, opset: int) -> list[int] | None:
    """Return the axes, an empty list for all axes; None if they are known only at run time."""
    if opset < AXES_ARE_INPUTS:
        return list(node.attributes.get_ints("axes", []))
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if given is None:
        return None if node.attributes.get_int("noop_with_empty_axes", 0) else []
    known = ir.convenience.get_const_tensor(given)
    return None if known is None else [int(axis) for axis in known.numpy().ravel()]


def _may_be_empty(node: ir.Node, axes: list[int]) -> bool:
    shape = first_input(node).shape
    keeps = node.attributes.get_int("keepdims", 1)
    if axes == [-1] and keeps:
        # A layer norm: what it normalises is empty too, and ONNX Runtime fuses this form.
        return False
    if shape is None:
        return True
    reduced = [shape[axis] for axis in axes] if axes else list(shape)
    return not all(isinstance(size, int) and size > 0 for size in reduced)


def _write(node: ir.Node, axes: list[int]) -> None:
    x = first_input(node)
    tape = Tape()
    keeps = {"keepdims": node.attributes.get_int("keepdims", 1)}
    if axes:
        places = constant(tape, axes, "int64")
        total = tape.op("ReduceSum", [x, places], keeps)
        sizes = tape.op("Gather", [tape.op("Shape", [x]), places])
        count = tape.op("ReduceProd", [sizes], {"keepdims": 0})
    else:
        total, count = tape.op("ReduceSum", [x], keeps), tape.op("Size", [x])
    mean = tape.op("Div", [total, tape.op("CastLike", [count, x])])
    put_in_place(node, list(tape.nodes), mean)
