"""Keep the middle of two casts, which ONNX Runtime leaves out.

ONNX Runtime 1.32 merges a cast with the one before it (``RemoveDuplicateCastTransformer``, also
with all optimisations off). From float32 over int64 to int32 this saturates, where each cast by
itself wraps; from int64 over float32 to int8 the rounding is lost. On CPU it also computes most
operators of float16 in float32, between casts of its own: the first and the last one are merged
with casts of integers.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.exporters.dtypes import dtype_of, first_input, standard_nodes
from onnxpack.exporters.splice import put_in_place

MIDDLE = {
    ir.DataType.FLOAT16,
    ir.DataType.FLOAT,
    ir.DataType.DOUBLE,
    ir.DataType.INT64,
    ir.DataType.UINT32,
    ir.DataType.UINT64,
}
"""Dtypes whose casts are left out. The largest of one tensor, which stays, exists for all."""
EXACT = {ir.DataType.FLOAT, ir.DataType.BOOL, ir.DataType.FLOAT16}
"""Dtypes whose cast to float16 is kept, or loses nothing."""
SINCE = 13
"""The first opset in which Max takes all of these dtypes; 12 lacks only bfloat16."""


def keep_middle_casts(model: ir.Model) -> None:
    """Put an operator that changes nothing between two casts that would be merged."""
    if model.opset_imports.get("", 0) < SINCE:
        return
    for node in standard_nodes(model, ("Cast",)):
        to = ir.DataType(node.attributes.get_int("to", 0))
        source = first_input(node)
        tape = Tape()
        if to.is_integer() and _is_cast(source):
            result = tape.op("Cast", [tape.op("Max", [source])], {"to": to.value})
        elif to == ir.DataType.FLOAT16 and dtype_of(source) not in EXACT:
            result = tape.op("Max", [tape.op("Cast", [source], {"to": to.value})])
        else:
            continue
        put_in_place(node, list(tape.nodes), result)


def _is_cast(value: ir.Value) -> bool:
    """Return whether a value is, or may be, the result of a cast that would be left out."""
    before = value.producer()
    while before is not None and before.op_type == "Identity":
        before = first_input(before).producer()
    if before is None or before.op_type != "Cast":
        return before is not None and dtype_of(value) == ir.DataType.FLOAT16
    to = ir.DataType(before.attributes.get_int("to", 0))
    return to in MIDDLE and dtype_of(first_input(before)) != ir.DataType.BOOL
