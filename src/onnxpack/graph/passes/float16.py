"""Convert weights and arithmetic to float16; inputs and outputs keep their dtype."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxpack.errors import OptimizeError
from onnxpack.graph.passes.attempt import attempt, check_names, finish
from onnxpack.graph.passes.quiet import load_onnxruntime
from onnxpack.pack.manifest import Step


def to_float16(source: Path, to: Path, *, exclude: Sequence[str] = ()) -> Step:
    """Convert float32 weights and operators to float16; inputs and outputs stay float32.

    This halves the file, and is faster on a GPU. On a CPU, ONNX Runtime mostly computes in float32
    with casts between, which is slower.

    Args:
        source: path of the graph.
        to: path of the new graph.
        exclude: names of nodes that stay float32.

    Raises:
        OptimizeError: the graph has no float32 weights, or cannot be converted.
    """
    with attempt("float16", source, to) as under_way:
        import onnx

        ort = load_onnxruntime()
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel

        model = under_way.model
        check_names(model, exclude, "float16")
        if not any(w.data_type == onnx.TensorProto.FLOAT for w in model.graph.initializer):
            raise OptimizeError(f"float16 has nothing to do: {source.name} has no float32 weights.")
        made = convert_float_to_float16(
            model, keep_io_types=True, node_block_list=list(exclude) or None
        )
        # onnxruntime 1.32 appends the casts of inputs at the end.
        OnnxModel(made).topological_sort()
        finish(made, source, to, under_way)
        return Step("float16", {"exclude": sorted(exclude), "onnxruntime": ort.__version__})
