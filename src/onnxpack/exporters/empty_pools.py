"""Keep the minus infinity of a pooled window that holds nothing else.

ONNX Runtime 1.32 starts the maxima of MaxPool and GlobalMaxPool at the lowest finite number, so a
window of minus infinities gives -3.4e38: if padding was masked with ``-inf`` before the pooling, a
text without words has a score of 1e38. Frameworks give minus infinity.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.exporters.dtypes import dtype_of, first_input, standard_nodes
from onnxpack.exporters.splice import constant, put_in_place

POOLS = ("GlobalMaxPool", "MaxPool")
FLOATS = {ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16}


def keep_empty_windows(model: ir.Model) -> None:
    """Rewrite each pooling that a constant minus infinity can reach."""
    for node in standard_nodes(model, POOLS):
        alone = len(node.outputs) == 1 or not node.outputs[1].uses()
        if alone and dtype_of(first_input(node)) in FLOATS and _may_be_masked(first_input(node)):
            _write(node)


def _write(node: ir.Node) -> None:
    """Take the maximum of the numbers, and of whether there is one."""
    x = first_input(node)
    tape = Tape()
    lowest = tape.op("CastLike", [constant(tape, -np.inf, np.float32), x])
    zero, one = (tape.op("CastLike", [constant(tape, each, np.float32), x]) for each in (0, 1))
    is_there = tape.op("Where", [tape.op("Equal", [x, lowest]), zero, one])
    options = dict(node.attributes)
    found = tape.op(node.op_type, [x], options)
    any_there = tape.op(node.op_type, [is_there], options)
    is_empty = tape.op("Equal", [any_there, zero])
    result = tape.op("Where", [is_empty, lowest, found])
    put_in_place(node, list(tape.nodes), result)


def _may_be_masked(value: ir.Value) -> bool:
    """Return whether a constant before a value, in any operator, holds minus infinity."""
    open_values, seen = [value], set[int]()
    while open_values:
        each = open_values.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        known = ir.convenience.get_const_tensor(each)
        if known is not None:
            if known.dtype in FLOATS and bool(np.isneginf(known.numpy()).any()):
                return True
            continue
        node = each.producer()
        if node is not None:
            open_values += [given for given in node.inputs if given is not None]
    return False
