"""Refuse graphs that make whole numbers of float16 arithmetic.

ONNX Runtime 1.32 has few kernels of float16 on CPU. It computes most of them in float32, between
casts, and leaves out those casts that only round. A score changes little by this. A whole number,
such as an index or a bucket, changes altogether: ``(t.half() + 1).long()`` is 2048 for 2049 in
PyTorch, and 2050 here.
"""

from __future__ import annotations

import onnx_ir as ir

from onnxpack.errors import ExportError
from onnxpack.exporters.dtypes import dtype_of, first_input, standard_nodes

WHOLE = ("Cast", "Ceil", "Equal", "Floor", "Mod", "Round")
"""Operators that make numbers whole, or compare them exactly."""
CARRIED = {
    "Cast", "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity",
    "Max", "Pad", "Reshape", "ScatterElements", "ScatterND", "Slice", "Split", "Squeeze", "Tile",
    "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
"""Operators that move or cast numbers, and compute nothing."""


def refuse_float16_integers(model: ir.Model) -> None:
    """Raise an error if float16 arithmetic ends in whole numbers.

    Raises:
        ExportError: there is such arithmetic; the error names the operator.
    """
    for node in standard_nodes(model, WHOLE):
        if node.op_type == "Cast":
            to = ir.DataType(node.attributes.get_int("to", 0))
            if not to.is_integer():
                continue
        made = _arithmetic_before(first_input(node))
        if made is not None:
            raise ExportError(
                f"{made.op_type} computes in float16, and {node.op_type} makes whole numbers of "
                "the result: ONNX Runtime rounds float16 differently, so compute it in float32"
            )


def _arithmetic_before(value: ir.Value) -> ir.Node | None:
    """Return an operator that computed a float16 value, or None if it was only moved and cast."""
    open_values, seen = [value], set[int]()
    while open_values:
        each = open_values.pop()
        node = each.producer()
        if node is None or id(node) in seen or dtype_of(each) != ir.DataType.FLOAT16:
            continue
        seen.add(id(node))
        if node.op_type not in CARRIED and node.op_type != "Constant":
            return node
        if node.op_type != "Cast":
            open_values += [given for given in node.inputs if given is not None]
    return None
