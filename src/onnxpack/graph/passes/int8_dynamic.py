"""Quantise weights to int8; activations are quantised at each run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxpack.errors import OptimizeError
from onnxpack.graph.passes.attempt import attempt, check_names, count_nodes, finish
from onnxpack.graph.passes.prepare import names_after, prepared
from onnxpack.graph.passes.quiet import load_onnxruntime
from onnxpack.pack.manifest import Step

OPERATORS = ("MatMul", "Gemm", "Attention", "LSTM")
"""The operators to quantise.

Conv is left out, since ``ConvInteger`` is slower than a convolution in float32. Gather is left out,
since an embedding table in int8 saves memory but no time.
"""
QUANTIZED = ("MatMulInteger", "QAttention", "DynamicQuantizeLSTM", "ConvInteger", "GatherQuant")


def quantize_dynamic(
    source: Path,
    to: Path,
    *,
    exclude: Sequence[str] = (),
    operators: Sequence[str] = OPERATORS,
    narrow: bool = False,
) -> Step:
    """Quantise matrix products: uint8 activations, int8 weights with a scale for each channel.

    This needs no data. int8 activations (S8S8) are not offered: on processors without AMX's signed
    instructions they run at a fraction of the speed.

    Args:
        source: path of the graph.
        to: path of the new graph.
        exclude: names of nodes that stay float32.
        operators: operators to quantise.
        narrow: use only 7 bits of the weights, so that the sum of two products fits into the 16
            bits of x86 processors without VNNI.

    Raises:
        OptimizeError: there is nothing to quantise, or the quantisation fails.
    """
    with attempt("int8-dynamic", source, to) as under_way:
        import onnx

        check_names(under_way.model, exclude, "int8-dynamic")
        made = under_way.scratch / "int8.onnx"
        _quantize(prepared(under_way), made, exclude, operators, narrow)
        model = onnx.load(made)
        if not count_nodes(model, *QUANTIZED):
            raise OptimizeError(
                f"int8-dynamic has nothing to do: {source.name} has no {' or '.join(operators)} "
                "with constant float32 weights."
            )
        finish(model, source, to, under_way)
        return Step("int8-dynamic", _options(exclude, operators, narrow))


def _quantize(
    source: Path, made: Path, exclude: Sequence[str], operators: Sequence[str], narrow: bool
) -> None:
    import onnx
    from onnxruntime import quantization

    quantization.quantize_dynamic(
        source,
        made,
        # A Gemm becomes a MatMul before the quantisation.
        op_types_to_quantize=[name for name in operators if name != "Gemm"],
        per_channel=True,
        reduce_range=narrow,
        weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=names_after(exclude),
        # Shape inference does not know fused operators, so values behind one have no type.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


def _options(exclude: Sequence[str], operators: Sequence[str], narrow: bool) -> dict[str, object]:
    return {
        "activations": "uint8",
        "weights": f"int{7 if narrow else 8} per channel",
        "operators": list(operators),
        "exclude": sorted(exclude),
        "onnxruntime": load_onnxruntime().__version__,
    }
