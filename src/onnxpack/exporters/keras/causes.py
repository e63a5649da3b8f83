"""Find why a Keras model cannot be exported, by its layers."""

from __future__ import annotations

from typing import Any

from onnxpack.parity.subject import Cause

LACKING = ("bfloat16", "float16", "float64")


def diagnose(model: Any) -> Cause | None:
    """Return a cause for the first layer in a dtype that ONNX Runtime's CPU kernels lack."""
    for layer in model._flatten_layers():  # noqa: SLF001 - Keras has no public way in
        dtype = getattr(layer, "compute_dtype", None)
        if dtype in LACKING:
            return Cause(
                f"layer {layer.name!r} computes in {dtype}, for which ONNX Runtime lacks kernels "
                "on CPU",
                'create the model after keras.config.set_dtype_policy("float32"), and load its '
                "weights",
            )
    return None
