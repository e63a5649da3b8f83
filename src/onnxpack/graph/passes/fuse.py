"""Attention, layer normalisation and GELU as single operators of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from onnxpack.errors import OptimizeError
from onnxpack.graph.passes.attempt import attempt, finish, opset
from onnxpack.graph.passes.attention import FUSED, clear_masked, find_heads, restate_masks
from onnxpack.graph.passes.offline import optimized
from onnxpack.graph.passes.quiet import load_onnxruntime
from onnxpack.pack.manifest import Step

MIN_OPSET = 18
"""The first in which ReduceMax takes its axes as an input; older graphs keep their masks."""


def fuse(source: Path, to: Path) -> Step:
    """Fuse the attention of a BERT-like encoder; heads and hidden size are read from the graph.

    The graph that PyTorch's older exporter (TorchScript) writes is recognised. In a graph of the
    newer one ``onnxruntime.transformers`` 1.32 finds no attention.

    Returns:
        The step; its options say how many attentions were fused.

    Raises:
        OptimizeError: no attention was found.
    """
    with attempt("fuse", source, to) as under_way:
        ort = load_onnxruntime()
        from onnxruntime.transformers.fusion_options import FusionOptions
        from onnxruntime.transformers.optimizer import optimize_model

        # ONNX Runtime's basic optimisation gives masks the form that is restated here.
        model = optimized(under_way, "BASIC")
        restated = restate_masks(model) if opset(model) >= MIN_OPSET else 0
        heads, hidden = find_heads(model)
        options = FusionOptions("bert")
        # The mask as it is given: by default it becomes a length, which has no holes.
        options.use_raw_attention_mask(True)
        # Fused embeddings need such a length, and gain nothing.
        options.enable_embed_layer_norm = False
        fused = optimize_model(
            model,
            model_type="bert",
            num_heads=heads,
            hidden_size=hidden,
            optimization_options=options,
            opt_level=0,
        )
        counts = fused.get_fused_operator_statistics()
        attentions = sum(counts.get(operator, 0) for operator in FUSED)
        if not attentions:
            raise OptimizeError(
                f"nothing to fuse: onnxruntime.transformers found no attention in {source.name}."
            )
        if restated:
            if restated != counts.get("Attention", 0):
                raise OptimizeError(
                    f"fuse restated {restated} masked attentions of {source.name} and fused only "
                    f"{attentions}; the others would answer differently to a mask of zeros."
                )
            clear_masked(fused.model)
        finish(fused.model, source, to, under_way)
        return Step("fuse", {"attentions": attentions, "onnxruntime": ort.__version__})
