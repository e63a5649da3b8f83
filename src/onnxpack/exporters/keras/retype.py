"""Make a graph accept the dtypes of the sample, if its backend used narrower ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir

from onnxpack.signature import Array


def retype_inputs(graph: Path, sample: Mapping[str, Array]) -> None:
    """Cast each input from the sample's dtype to the graph's: JAX reads int64 as int32."""
    model = ir.load(graph)
    casts: list[ir.Node] = []
    for place, inner in enumerate(list(model.graph.inputs)):
        stated = ir.DataType.from_numpy(sample[inner.name or ""].dtype)
        if inner.dtype is None or inner.dtype == stated:
            continue
        outer = ir.Value(name=inner.name, shape=inner.shape, type=ir.TensorType(stated))
        model.graph.inputs[place] = outer
        inner.name = f"{outer.name}_as_{inner.dtype.name.lower()}"
        casts.append(ir.node("Cast", [outer], {"to": inner.dtype}, outputs=[inner]))
    if casts:
        model.graph.insert_before(model.graph[0], casts)
        ir.save(model, graph)
