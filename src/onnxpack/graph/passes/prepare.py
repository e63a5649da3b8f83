"""What onnxruntime.quantization asks to be done before it quantises."""

from __future__ import annotations

from pathlib import Path

from onnxpack.graph.passes.attempt import attempt, finish
from onnxpack.graph.passes.quiet import load_onnxruntime
from onnxpack.pack.manifest import Step


def prepare(source: Path, to: Path) -> Step:
    """Infer shapes and fold convolutions with their normalisation, with ``quant_pre_process``.

    A graph that was exported in evaluation mode mostly has them folded. Nodes may get other
    names: those to leave alone are named after this pass.
    """
    with attempt("prepare", source, to) as under_way:
        import onnx

        ort = load_onnxruntime()
        from onnxruntime.quantization.shape_inference import quant_pre_process

        prepared = under_way.scratch / "prepared.onnx"
        # Symbolic inference does not know every operator, and quantisation asks only for types.
        quant_pre_process(str(under_way.saved()), str(prepared), skip_symbolic_shape=True)
        finish(onnx.load(prepared), source, to, under_way)
        return Step("prepare", {"onnxruntime": ort.__version__})
