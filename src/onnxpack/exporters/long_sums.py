"""Sum along long axes in float64.

ONNX Runtime 1.32 on CPU adds up float32 numbers one after the other, along the last axis in a few
lanes: the mean of a million equal numbers is off by 1 %. PyTorch, NumPy and XLA add in pairs or
blocks, and lose nothing that their float32 shows (Higham, "The accuracy of floating point
summation", 1993). No case of the proof is that long.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.exporters.dtypes import dtype_of, first_input, standard_nodes
from onnxpack.exporters.empty_means import reduced_axes
from onnxpack.exporters.splice import AXES_ARE_INPUTS, constant, put_in_place

LONG = 2**14
"""Number of elements whose sum in float32 may be off by 1e-4 of it: a tenth of the tolerance."""
REDUCTIONS = ("ReduceMean", "ReduceSum")
"""Sums of squares are left out: PyTorch's own norms (2.14) add up float32 numbers in turn."""
POOL, RUNNING = "GlobalAveragePool", "CumSum"
SPATIAL = 2
"""First axis over which a pool takes the mean."""


def sum_in_float64(model: ir.Model) -> None:
    """Rewrite each sum of float32 numbers along axes that are, or may be, long."""
    opset = model.opset_imports.get("", 0)
    for node in standard_nodes(model, (*REDUCTIONS, POOL, RUNNING)):
        if dtype_of(first_input(node)) == ir.DataType.FLOAT and _may_be_long(node, opset):
            _widen(node, opset)


def _may_be_long(node: ir.Node, opset: int) -> bool:
    shape = first_input(node).shape
    axes = _axes(node, opset)
    if axes is None:
        return False
    if shape is None:
        # Most sums along the last axis are those of layer norms, over features.
        return axes != [-1] and node.op_type != POOL
    count = 1
    for axis in axes or range(len(shape)):
        size = shape[axis]
        if not isinstance(size, int):
            return True
        count *= size
    return count >= LONG


def _axes(node: ir.Node, opset: int) -> list[int] | None:
    """Return the axes, an empty list for all axes; None if they are known only at run time."""
    shape = first_input(node).shape
    if node.op_type == POOL:
        return [] if shape is None else [*range(SPATIAL, len(shape))]
    if node.op_type != RUNNING:
        return reduced_axes(node, opset)
    known = ir.convenience.get_const_tensor(node.inputs[1]) if node.inputs[1] else None
    return None if known is None else [int(axis) for axis in known.numpy().ravel()]


def _widen(node: ir.Node, opset: int) -> None:
    x = first_input(node)
    tape = Tape()
    wide = tape.op("Cast", [x], {"to": ir.DataType.DOUBLE})
    if node.op_type == POOL:
        total = _pool(tape, wide, len(x.shape or ()), opset)
    else:
        total = tape.op(node.op_type, [wide, *node.inputs[1:]], dict(node.attributes))
    result = tape.op("Cast", [total], {"to": ir.DataType.FLOAT})
    put_in_place(node, list(tape.nodes), result)


def _pool(tape: Tape, x: ir.Value, rank: int, opset: int) -> ir.Value:
    """Return the mean over all spatial axes: ONNX Runtime has no such pool for float64."""
    axes = [*range(SPATIAL, rank)]
    if opset < AXES_ARE_INPUTS:
        return tape.op("ReduceMean", [x], {"axes": axes, "keepdims": 1})
    return tape.op("ReduceMean", [x, constant(tape, axes, "int64")], {"keepdims": 1})
