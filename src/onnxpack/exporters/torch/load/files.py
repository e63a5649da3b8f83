"""Load files that PyTorch and Lightning save. A pickle is loaded only if the user trusts it."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.target.attribute import make_importable
from onnxpack.floors import require_floor
from onnxpack.zipped import check_zip

try:
    import torch
except ImportError as exc:
    raise MissingExtraError("torch", extra="torch") from exc

TRUST = "if you trust where the file came from, add --trust: it lets the file run code"
LIGHTNING = {"lightning": "lightning", "pytorch_lightning": "pytorch-lightning"}
"""The two packages of Lightning, with their distributions."""
_NO_ATTRIBUTE = re.compile(r"attribute '(?P<name>[^']+)' on <module '(?P<module>[^']+)'")
"""What ``pickle`` says if a class is missing (CPython 3.11 to 3.14)."""


def load_checkpoint(path: Path, cls: Any, *, trust: bool) -> torch.nn.Module:
    """Load a Lightning checkpoint into its class, by ``load_from_checkpoint``.

    Raises:
        TargetError: the class does not fit, or the file holds more than weights and plain values.
    """
    if not hasattr(cls, "load_from_checkpoint"):
        raise TargetError(
            f"{cls!r} is not a Lightning class: it has no load_from_checkpoint.",
            remedy="--class module:LitModel",
        )
    check_zip(path, error=TargetError)
    if not trust:
        for name in ("torch", *_distributions(cls)):
            require_floor(name)
    try:
        model: torch.nn.Module = cls.load_from_checkpoint(
            path, map_location="cpu", weights_only=not trust
        )
    except pickle.UnpicklingError as exc:
        raise TargetError(
            f"{path} contains not only weights but pickled objects, which can run any code.",
            remedy=TRUST,
        ) from exc
    except Exception as exc:
        raise TargetError(
            f"{path} does not fit {cls.__name__}: {type(exc).__name__}: {exc}",
            remedy="call self.save_hyperparameters() in __init__, or export from Python with a "
            "model that you made",
        ) from exc
    return model


def _distributions(cls: type) -> list[str]:
    """Return the distributions of Lightning that a class is made of."""
    packages = {base.__module__.partition(".")[0] for base in cls.__mro__}
    return sorted(name for home, name in LIGHTNING.items() if home in packages)


def load_program(path: Path, *, trust: bool) -> torch.export.ExportedProgram:
    """Load a ``torch.export`` archive, which must be trusted: ``torch.export.load`` unpickles.

    Raises:
        TargetError: the file is not trusted, or is not such an archive.
    """
    if not trust:
        raise TargetError(
            f"{path} is read by torch.export.load, which unpickles it: this can run any code.",
            remedy=TRUST,
        )
    check_zip(path, error=TargetError)
    try:
        return torch.export.load(path)
    except Exception as exc:
        raise TargetError(f"{path} is not a torch.export program: {exc}") from exc


def load_torchscript(path: Path, *, trust: bool) -> torch.nn.Module:
    """Load a TorchScript archive or a pickled module, which must be trusted.

    TorchScript is not a safe format: its code runs when an archive is loaded (``__setstate__``),
    and its operators read and write files (``torch.from_file``).

    Raises:
        TargetError: the file is neither, or is not trusted.
    """
    check_zip(path, error=TargetError)
    if not trust and _is_torchscript(path):
        raise TargetError(
            f"{path} is a TorchScript archive: its code runs when it is loaded, and can read and "
            "write files.",
            remedy=TRUST,
        )
    if not trust:  # what is not trusted is never given to TorchScript's reader
        return _load_pickled(path, None, trust=False)
    try:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            scripted: torch.nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as exc:
        return _load_pickled(path, exc, trust=trust)
    return scripted


def _is_torchscript(path: Path) -> bool:
    try:
        with ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, BadZipFile):
        return False  # the readers report it


def _load_pickled(path: Path, reason: Exception | None, *, trust: bool) -> torch.nn.Module:
    if trust:
        # A pickle names the modules of its classes, which lie beside it or where the user stands.
        make_importable(Path.cwd())
        make_importable(path.resolve().parent)
    else:
        require_floor("torch")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as exc:
        raise TargetError(
            f"{path} is not a TorchScript archive; it contains pickled objects, which can run "
            "any code.",
            remedy=TRUST,
        ) from exc
    except ImportError as exc:
        raise TargetError(
            f"{path} needs code that cannot be imported: {exc}.",
            remedy=f"cd to the folder of the missing module, or install it; {path} was saved with "
            "its class's name, not with its code",
        ) from exc
    except AttributeError as exc:
        raise _without_class(path, exc) from exc
    except Exception as exc:
        raise TargetError(f"{path} cannot be read: {reason or exc}") from exc
    if isinstance(loaded, torch.nn.Module):
        return loaded
    raise TargetError(
        f"{path} contains weights ({type(loaded).__name__}), but not the code that uses them.",
        remedy="write a function that makes the model and loads these weights, and name it: "
        "file.py:make_model",
    )


def _without_class(path: Path, exc: AttributeError) -> TargetError:
    """Return the error for a pickle whose class is not in the module that the pickle names."""
    found = _NO_ATTRIBUTE.search(str(exc))
    if found is None:
        return TargetError(f"{path} cannot be read: {type(exc).__name__}: {exc}")
    name, module = found["name"], found["module"]
    # Python calls the module of `python -m onnxpack` onnxpack.__main__ here.
    if module.rpartition(".")[2] != "__main__":
        return TargetError(f"{path} needs {module}.{name}, and {module} has no {name!r}.")
    return TargetError(
        f"{path} needs the class {name} of the script that saved it, and does not name the script.",
        remedy=f"in that script, after the model is trained: onnxpack.export(model, sample, "
        f"{path.stem!r})",
    )
