"""Modules that compute in int8 with PyTorch's own kernels.

Their graphs are nearly right, which is the worst kind: ONNX Runtime rounds a few elements in a
million to the other neighbour, each by a whole step, and no number of samples tells when.
"""

from __future__ import annotations

import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.torch.rewrite.restated import scripted_code


def refuse_quantized(model: torch.nn.Module) -> None:
    """Refuse a module that is quantised, or holds one that is.

    Raises:
        ExportError: it is.
    """
    name = _quantized(model)
    if name:
        raise ExportError(
            f"{name} computes in int8 with PyTorch's own kernels, which round otherwise than ONNX "
            "Runtime's: no graph can be proven equal to it.",
            remedy="export the float model, then quantise the pack",
        )


def _quantized(model: torch.nn.Module) -> str:
    for name, module in model.named_modules():
        kind = type(module)
        if ".quantized" in kind.__module__ and ".qat" not in kind.__module__:
            return f"{name or 'the model'} ({kind.__name__})"
    return "the scripted model" if "quantized::" in scripted_code(model) else ""
