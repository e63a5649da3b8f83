"""A graph as a file, with its weights in another beside it."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

SMALL = 256
"""Bytes of a tensor below which it stays in the graph."""


def save_beside(model: ir.Model, to: Path) -> None:
    """Save a graph, with its weights in ``<name>.data``; texts have no place outside of a graph."""
    tensors = (value.const_value for value in model.graph.initializers.values())
    texts = [tensor.nbytes for tensor in tensors if tensor and tensor.dtype == ir.DataType.STRING]
    least = max(SMALL, *(size + 1 for size in texts)) if texts else SMALL
    ir.save(model, to, external_data=f"{to.name}.data", size_threshold_bytes=least)
