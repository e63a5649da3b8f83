"""Save the result of ONNX Runtime's own optimisation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from onnxpack.graph.passes.attempt import Attempt, attempt, finish
from onnxpack.graph.passes.quiet import load_onnxruntime
from onnxpack.pack.manifest import Step

if TYPE_CHECKING:
    from onnx import ModelProto


def save_optimized(source: Path, to: Path) -> Step:
    """Save the graph as ONNX Runtime optimises it at ``ORT_ENABLE_EXTENDED``.

    A session that opens it starts sooner. It runs no faster, since a session does the same at each
    start.

    ``ORT_ENABLE_BASIC`` changes only ONNX operators and is portable. ``ORT_ENABLE_EXTENDED`` adds
    fused operators of ONNX Runtime, which run on any processor and need ONNX Runtime.
    ``ORT_ENABLE_ALL`` also lays out convolutions for this processor's vector width (NCHWc): a graph
    saved with it may be slow, or fail to load, on another processor. A session still applies that
    layout itself when it opens the graph.
    """
    with attempt("offline", source, to) as under_way:
        finish(optimized(under_way, "EXTENDED"), source, to, under_way)
        version = load_onnxruntime().__version__
        return Step("offline", {"level": "extended", "onnxruntime": version})


def optimized(under_way: Attempt, level: Literal["BASIC", "EXTENDED"]) -> ModelProto:
    """Return the graph of a pass as ONNX Runtime optimises it."""
    import onnx

    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    options.log_severity_level = 4
    path = under_way.scratch / f"{level.lower()}.onnx"
    options.optimized_model_filepath = str(path)
    if under_way.large:  # protobuf cannot write more than 2 GiB
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", f"{path.name}.data"
        )
    ort.InferenceSession(
        str(under_way.saved()),
        sess_options=options,
        providers=["CPUExecutionProvider"],
        # As in onnxruntime.transformers: shared constants hide the patterns of its fusion.
        disabled_optimizers=["ConstantSharing"] if level == "BASIC" else None,
    )
    return onnx.load(path)
