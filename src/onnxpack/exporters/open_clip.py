"""Replace a Clip with one bound by Max or Min.

ONNX Runtime 1.32 uses the largest finite number for a missing bound, so that ``clamp(min=0)`` of
infinity is 3.4e38.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.tape import Tape

from onnxpack.exporters.dtypes import dtype_of, first_input, standard_nodes
from onnxpack.exporters.splice import put_in_place

BOUNDS_ARE_INPUTS = 12
"""The first opset in which Clip, Max and Min accept the same dtypes."""


def open_clips(model: ir.Model) -> None:
    """Rewrite each floating-point Clip with only one bound as Max or Min."""
    if model.opset_imports.get("", 0) < BOUNDS_ARE_INPUTS:
        return
    for node in standard_nodes(model, ("Clip",)):
        low, high = [*node.inputs[1:3], None, None][:2]
        dtype = dtype_of(first_input(node))
        if (low is None) == (high is None) or dtype is None or not dtype.is_floating_point():
            continue
        tape = Tape()
        bounded = tape.op("Min" if low is None else "Max", [first_input(node), low or high])
        put_in_place(node, list(tape.nodes), bounded)
