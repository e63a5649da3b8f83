"""Save a graph as a file, with its weights in a second file next to it."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

SMALL = 256
"""Tensors of fewer bytes than this stay in the graph's own file."""


def save_beside(model: ir.Model, to: Path) -> None:
    """Save a graph, with its weights in ``<name>.data``; texts stay in the graph's own file."""
    tensors = (value.const_value for value in model.graph.initializers.values())
    texts = [tensor.nbytes for tensor in tensors if tensor and tensor.dtype == ir.DataType.STRING]
    least = max(SMALL, *(size + 1 for size in texts)) if texts else SMALL
    ir.save(model, to, external_data=f"{to.name}.data", size_threshold_bytes=least)
