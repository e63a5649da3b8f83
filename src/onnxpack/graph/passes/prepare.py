"""Prepare a graph for quantisation, as onnxruntime.quantization recommends."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from onnxpack.graph.passes.attempt import Attempt, attempt, finish
from onnxpack.graph.passes.quiet import load_onnxruntime
from onnxpack.pack.manifest import Step


def prepare(source: Path, to: Path) -> Step:
    """Infer shapes, fold constants, and fold normalisation into convolutions.

    The quantising passes do this themselves; as a pass of its own, it shows what they start with.
    """
    with attempt("prepare", source, to) as under_way:
        import onnx

        finish(onnx.load(prepared(under_way)), source, to, under_way)
        return Step("prepare", {"onnxruntime": load_onnxruntime().__version__})


def prepared(under_way: Attempt) -> Path:
    """Return a file with the graph of a pass, prepared for quantisation.

    Otherwise an exporter's arithmetic on shapes stays between the layers, and ONNX Runtime 1.32
    joins fewer of them to int8 operators: EfficientNet-lite0 is 1.4 times slower.
    """
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path = under_way.scratch / "prepared.onnx"
    quant_pre_process(
        str(under_way.saved()),
        str(path),
        # Symbolic inference does not know every operator, and quantisation only needs types.
        skip_symbolic_shape=True,
        save_as_external_data=under_way.large,
    )
    return path


def names_after(exclude: Collection[str]) -> list[str]:
    """Return the names that nodes may have after the graph is prepared.

    A MatMul with an added bias becomes a Gemm of another name (ONNX Runtime 1.32). Other nodes keep
    their names, or are merged into a node that does.
    """
    return [f"{name}{suffix}" for name in sorted(exclude) for suffix in ("", "/MatMulAddFusion")]
