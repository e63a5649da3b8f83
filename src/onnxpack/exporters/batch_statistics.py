"""Write batch normalisation by the statistics of the batch as basic operators.

ONNX Runtime 1.32 updates the running mean of a ``BatchNormalization`` in training mode in place,
though nothing reads it. So the session keeps a state, and after one NaN every later answer is NaN.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.errors import ExportError
from onnxpack.exporters.dtypes import first_input, standard_nodes
from onnxpack.exporters.splice import AXES_ARE_INPUTS, constant, put_in_place

EPSILON = 1e-5
"""ONNX's default for ``epsilon``."""


def write_batch_statistics(model: ir.Model) -> None:
    """Rewrite every BatchNormalization in training mode as means, differences and a root.

    Raises:
        ExportError: the rank of its input is not known, or its running statistics are read.
    """
    opset = model.opset_imports.get("", 0)
    for node in standard_nodes(model, ("BatchNormalization",)):
        if node.attributes.get_int("training_mode", 0):
            _write(node, opset)


def _write(node: ir.Node, opset: int) -> None:
    x, (scale, bias) = first_input(node), node.inputs[1:3]
    rank = None if x.shape is None else len(x.shape)
    read = any(value.uses() or value.is_graph_output() for value in node.outputs[1:])
    if rank is None or read or scale is None or bias is None:
        raise ExportError(
            f"the graph normalises by the statistics of the batch ({node.outputs[0].name!r}) in "
            "a way that a graph without a state cannot express"
        )
    tape = Tape()
    axes = [axis for axis in range(rank) if axis != 1]
    shape = constant(tape, [-1, *[1] * (rank - 2)], "int64")
    centred = tape.op("Sub", [x, _mean(tape, x, axes, opset)])
    variance = _mean(tape, tape.op("Mul", [centred, centred]), axes, opset)
    # CastLike gives the constant the dtype of the input, which may be unknown here.
    epsilon = constant(tape, node.attributes.get_float("epsilon", EPSILON), "float32")
    added = tape.op("Add", [variance, tape.op("CastLike", [epsilon, variance])])
    normal = tape.op("Div", [centred, tape.op("Sqrt", [added])])
    scaled = tape.op("Mul", [normal, tape.op("Reshape", [scale, shape])])
    result = tape.op("Add", [scaled, tape.op("Reshape", [bias, shape])])
    for value in node.outputs[1:]:
        value.name = None
    node.resize_outputs(1)
    put_in_place(node, list(tape.nodes), result)


def _mean(tape: Tape, x: ir.Value, axes: list[int], opset: int) -> ir.Value:
    if opset >= AXES_ARE_INPUTS:
        return tape.op("ReduceMean", [x, constant(tape, axes, "int64")], {"keepdims": 1})
    return tape.op("ReduceMean", [x], {"keepdims": 1, "axes": axes})
