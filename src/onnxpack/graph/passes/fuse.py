"""Fuse attention, layer normalisation and GELU into single operators of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onnxpack.errors import OptimizeError
from onnxpack.graph.passes.attempt import attempt, count_nodes, finish, opset
from onnxpack.graph.passes.attention import (
    FUSED,
    clear_masked,
    find_heads,
    flatten_lookups,
    restate_masks,
)
from onnxpack.graph.passes.offline import optimized
from onnxpack.graph.passes.quiet import load_onnxruntime
from onnxpack.pack.manifest import Step

if TYPE_CHECKING:
    from onnx import ModelProto

MIN_OPSET = 18
"""The first opset in which ReduceMax takes its axes as an input; older graphs keep their masks."""


def fuse(source: Path, to: Path) -> Step:
    """Fuse the attention of a BERT-like encoder; heads and hidden size are read from the graph.

    Graphs of PyTorch's older exporter (TorchScript) are recognised. In graphs of the newer
    exporter, ``onnxruntime.transformers`` 1.32 finds no attention.

    Returns:
        The step; its options state how many attentions were fused.

    Raises:
        OptimizeError: no attention was found.
    """
    with attempt("fuse", source, to) as under_way:
        # ONNX Runtime's basic optimisation gives masks the form that restate_masks looks for.
        model = optimized(under_way, "BASIC")
        restated = 0
        if opset(model) >= MIN_OPSET:
            flatten_lookups(model)
            restated = restate_masks(model)
        fused = _fuse(model)
        attentions = count_nodes(fused, *FUSED)
        if not attentions:
            raise OptimizeError(
                f"nothing to fuse: onnxruntime.transformers found no attention in {source.name}."
            )
        if restated:
            if restated != attentions:
                raise OptimizeError(
                    f"fuse rewrote {restated} masked attentions of {source.name} and fused "
                    f"{attentions}; the others would answer differently to a mask of zeros."
                )
            clear_masked(fused)
        finish(fused, source, to, under_way)
        version = load_onnxruntime().__version__
        return Step("fuse", {"attentions": attentions, "onnxruntime": version})


def _fuse(model: ModelProto) -> ModelProto:
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    heads, hidden = find_heads(model)
    options = FusionOptions("bert")
    # Keep the given mask: by default it becomes a length, which cannot have gaps.
    options.use_raw_attention_mask(True)
    # Fused embeddings need such a length, and are not faster.
    options.enable_embed_layer_norm = False
    fused: ModelProto = optimize_model(
        model,
        model_type="bert",
        num_heads=heads,
        hidden_size=hidden,
        optimization_options=options,
        opt_level=0,
    ).model
    return fused
