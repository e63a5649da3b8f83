"""TARGET on the command line: what names a trained model, and how each kind is loaded."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

from onnxpack.errors import TargetError
from onnxpack.exporters.attribute import load_attribute
from onnxpack.exporters.loaded import LoadedTarget


def load_target(text: str, *, class_name: str | None = None, trust: bool = False) -> LoadedTarget:
    """Load what TARGET names.

    Args:
        text: ``module:attr``, ``file.py:attr``, ``torchvision:resnet18``, ``model.ckpt``,
            ``model.pt2``, ``model.pt``, ``model.onnx`` or a model-zoo folder.
        class_name: for a ``.ckpt``, the Lightning class as ``module:LitModel``.
        trust: allow unpickling, which can run any code that the file holds.

    Raises:
        TargetError: there is no such thing, or it cannot be loaded.
        MissingExtraError: its framework is not installed.
    """
    if text.startswith("torchvision:"):
        from onnxpack.exporters.torch.vision import load_torchvision

        return load_torchvision(text.removeprefix("torchvision:"))
    path = Path(text)
    if path.suffix in _FILES or path.is_dir():
        if not path.exists():
            raise TargetError(f"there is no file {text}.")
        return _FILES.get(path.suffix, _load_graph)(path, class_name, trust)
    return _load_code(text)


def _load_code(text: str) -> LoadedTarget:
    if ":" not in text:
        raise TargetError(
            f"{text!r} names no model.",
            remedy="use module:attr, file.py:attr, torchvision:resnet18, or a .ckpt, .pt2, .pt "
            "or .onnx file",
        )
    found = load_attribute(text)
    name = text.rpartition(":")[2].rpartition(".")[2].removeprefix("make_").lower()
    if not (inspect.isclass(found) or inspect.isroutine(found)):
        return LoadedTarget(found, name)
    try:
        return LoadedTarget(found(), name)
    except Exception as exc:
        raise TargetError(f"calling {text} failed: {type(exc).__name__}: {exc}") from exc


def _load_checkpoint(path: Path, class_name: str | None, trust: bool) -> LoadedTarget:
    from onnxpack.exporters.torch.files import load_checkpoint

    if class_name is None:
        raise TargetError(
            f"{path} holds weights; the code that uses them is a Lightning class.",
            remedy=f"onnxpack export {path} --class module:LitModel",
        )
    return LoadedTarget(load_checkpoint(path, load_attribute(class_name), trust=trust), path.stem)


def _load_program(path: Path, _class_name: str | None, trust: bool) -> LoadedTarget:
    from onnxpack.exporters.torch.files import load_program

    return LoadedTarget(load_program(path, trust=trust), path.stem)


def _load_torchscript(path: Path, _class_name: str | None, trust: bool) -> LoadedTarget:
    from onnxpack.exporters.torch.files import load_torchscript

    return LoadedTarget(load_torchscript(path, trust=trust), path.stem)


def _load_graph(path: Path, _class_name: str | None, _trust: bool) -> LoadedTarget:
    return LoadedTarget(path, path.stem)


_FILES: dict[str, Callable[[Path, str | None, bool], LoadedTarget]] = {
    ".ckpt": _load_checkpoint,
    ".onnx": _load_graph,
    ".pt": _load_torchscript,
    ".pt2": _load_program,
    ".pth": _load_torchscript,
}
