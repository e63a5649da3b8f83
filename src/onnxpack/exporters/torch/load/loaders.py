"""Load ``.ckpt``, ``.pt2``, ``.pt`` and ``.pth`` files for the command line."""

from __future__ import annotations

from pathlib import Path

from onnxpack.errors import TargetError
from onnxpack.exporters.target.attribute import load_attribute
from onnxpack.exporters.target.loaded import LoadedTarget


def checkpoint(path: Path, class_name: str | None, trust: bool) -> LoadedTarget:
    """Load a Lightning checkpoint into the class that the user names.

    Raises:
        TargetError: no class was named, or the file does not fit the class.
    """
    from onnxpack.exporters.torch.load.files import load_checkpoint

    if class_name is None:
        raise TargetError(
            f"{path} contains weights; the code that uses them is a Lightning class.",
            remedy=f"onnxpack export {path} --class module:LitModel",
        )
    return LoadedTarget(load_checkpoint(path, load_attribute(class_name), trust=trust), path.stem)


def program(path: Path, _class_name: str | None, trust: bool) -> LoadedTarget:
    """Load a ``torch.export`` archive.

    Raises:
        TargetError: the file is not trusted, or is not such an archive.
    """
    from onnxpack.exporters.torch.load.files import load_program

    return LoadedTarget(load_program(path, trust=trust), path.stem)


def torchscript(path: Path, _class_name: str | None, trust: bool) -> LoadedTarget:
    """Load a TorchScript archive or, if it is trusted, a pickled module.

    Raises:
        TargetError: the file is neither.
    """
    from onnxpack.exporters.torch.load.files import load_torchscript

    return LoadedTarget(load_torchscript(path, trust=trust), path.stem)
