"""Refuse modules that compute in int8 with PyTorch's own kernels.

Their graphs are almost correct, which is the worst kind of error: ONNX Runtime rounds a few
elements in a million to the other neighbour, each by a whole step. No number of samples shows when.
"""

from __future__ import annotations

import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.torch.rewrite.restated import scripted_code


def refuse_quantized(model: torch.nn.Module) -> None:
    """Raise an error for a module that is quantised, or contains one that is.

    Raises:
        ExportError: a module is quantised.
    """
    name = _quantized(model)
    if name:
        raise ExportError(
            f"{name} computes in int8 with PyTorch's own kernels, which round differently from "
            "ONNX Runtime's: no graph can be proven equal to it.",
            remedy="export the float model, then quantise the pack",
        )


def _quantized(model: torch.nn.Module) -> str:
    for name, module in model.named_modules():
        kind = type(module)
        if ".quantized" in kind.__module__ and ".qat" not in kind.__module__:
            return f"{name or 'the model'} ({kind.__name__})"
    return "the scripted model" if "quantized::" in scripted_code(model) else ""
