"""Quantise weights of matrix products to 8 or 4 bits; activations stay float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from onnxpack.errors import OptimizeError, UsageError
from onnxpack.graph.passes.attempt import attempt, check_names, count_nodes, finish
from onnxpack.graph.passes.quiet import load_onnxruntime
from onnxpack.pack.manifest import Step

BLOCK = {8: 128, 4: 32}
"""Elements that share a scale, by the bits of a weight.

Larger blocks are faster and lose more accuracy. With 8 bits the loss is too small to be seen, with
4 bits it is not.
"""
INT8_ARITHMETIC = 4
"""Value of MatMulNBits' ``accuracy_level``: multiply in int8 if the processor can.

Level 0 first unpacks the weights to float32, which is slower than float32 weights.
"""


def quantize_weights(
    source: Path, to: Path, *, bits: Literal[4, 8] = 8, exclude: Sequence[str] = ()
) -> Step:
    """Quantise constant weights of MatMul in blocks, with ONNX Runtime's MatMulNBits.

    This needs no data. Gemm and fused Attention are left unchanged.

    Args:
        source: path of the graph.
        to: path of the new graph.
        bits: bits of a weight: 4 or 8.
        exclude: names of nodes that stay float32.

    Raises:
        OptimizeError: there is nothing to quantise, or the quantisation fails.
        UsageError: ``bits`` is neither 4 nor 8.
    """
    if bits not in (4, 8):
        raise UsageError(f"bits is {bits}, expected 4 or 8.")
    with attempt("weights", source, to) as under_way:
        ort = load_onnxruntime()
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        check_names(under_way.model, exclude, "weights")
        quantizer = MatMulNBitsQuantizer(
            under_way.model,
            bits=bits,
            block_size=BLOCK[bits],
            is_symmetric=False,
            accuracy_level=INT8_ARITHMETIC,
            nodes_to_exclude=list(exclude),
            op_types_to_quantize=("MatMul",),
        )
        quantizer.process()
        if not count_nodes(quantizer.model.model, "MatMulNBits"):
            raise OptimizeError(
                f"weights has nothing to do: {source.name} has no MatMul with constant weights."
            )
        finish(quantizer.model.model, source, to, under_way)
        options = {"bits": bits, "block": BLOCK[bits], "exclude": sorted(exclude)}
        return Step("weights", {**options, "onnxruntime": ort.__version__})
