"""Why a Keras model cannot be exported, as its layers tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from onnxpack.parity.subject import Attempt, Cause

UNKNOWN_CLASS = r"Could not locate (?:class|function) '(\w+)'"
"""What Keras says where another process loads a class of the user's."""
LACKING = ("bfloat16", "float16", "float64")


def diagnose(model: Any) -> Cause | None:
    """The first layer that computes in a dtype for which ONNX Runtime lacks kernels on CPU."""
    for layer in model._flatten_layers():  # noqa: SLF001 - Keras has no public way in
        dtype = getattr(layer, "compute_dtype", None)
        if dtype in LACKING:
            return Cause(
                f"layer {layer.name!r} computes in {dtype}, for which ONNX Runtime lacks kernels "
                "on CPU",
                'make the model after keras.config.set_dtype_policy("float32"), and load its '
                "weights",
            )
    return None


def unknown_class(attempts: Sequence[Attempt]) -> Cause | None:
    """Return the cause if a class of the user's is not known to the process that runs JAX."""
    said = "\n".join(attempt.error or "" for attempt in attempts)
    found = re.search(UNKNOWN_CLASS, said)
    if found is None:
        return None
    return Cause(
        f"{found[1]} is not registered, so it was not tried on the jax backend, which exports more",
        "register it where it is defined, in a module of its own: put "
        f"@keras.saving.register_keras_serializable() above class {found[1]}",
        certain=False,
    )
