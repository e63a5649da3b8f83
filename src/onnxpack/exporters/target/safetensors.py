"""Load the weights in a ``.safetensors`` file into a class that the user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.target.attribute import load_attribute
from onnxpack.exporters.target.loaded import LoadedTarget


def load(path: Path, class_name: str | None, _trust: bool) -> LoadedTarget:
    """Load the weights into the module that the class makes when called without arguments.

    Raises:
        TargetError: no class was named, it cannot be called without arguments, or the weights do
            not fit.
        MissingExtraError: safetensors is not installed.
    """
    if class_name is None:
        raise TargetError(
            f"{path} contains weights, but not the code that uses them.",
            remedy=f"onnxpack export {path} --class module:Net, or a function that makes the "
            "module: --class train.py:make_model",
        )
    try:
        from safetensors.torch import load_model
    except ImportError as exc:
        raise MissingExtraError("safetensors", extra="transformers") from exc

    module = _made(class_name)
    try:
        load_model(module, path, strict=True)
    except Exception as exc:
        raise TargetError(f"{path} does not fit {class_name}: {_brief(exc)}") from exc
    return LoadedTarget(module, path.stem)


def _made(class_name: str) -> Any:
    import torch

    make = load_attribute(class_name)
    try:
        module = make()
    except Exception as exc:
        raise TargetError(
            f"calling {class_name} without arguments failed: {type(exc).__name__}: {exc}",
            remedy="name a function that makes the module with its sizes: --class "
            "train.py:make_model",
        ) from exc
    if not isinstance(module, torch.nn.Module):
        raise TargetError(
            f"{class_name} makes a {type(module).__name__}, expected a torch.nn.Module."
        )
    return module


def _brief(exc: Exception) -> str:
    """Return PyTorch's message on one line: which weights are missing, unexpected or misshapen."""
    return " ".join(str(exc).split())[:600]
