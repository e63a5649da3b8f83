"""Load the model that TARGET names on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

from onnxpack.errors import TargetError
from onnxpack.exporters.target.attribute import load_attribute
from onnxpack.exporters.target.loaded import LoadedTarget, Loader
from onnxpack.exporters.target.untrained import call_watched
from onnxpack.plugins import collections, exporters, loaders

FOLDER = "folder"
"""The name of the default loader of folders, for those without a loader's marker file."""


def load_target(text: str, *, class_name: str | None = None, trust: bool = False) -> LoadedTarget:
    """Load the model that TARGET names.

    Args:
        text: ``module:attr``, ``file.py:attr``, ``torchvision:resnet18``, ``model.ckpt``,
            ``model.pt2``, ``model.skops`` or another file for which there is a loader, or a folder
            of transformers or of the model zoo.
        class_name: for a ``.ckpt``, the Lightning class as ``module:LitModel``; for a
            ``.safetensors``, the class that it is loaded into.
        trust: allow unpickling, which can run any code that the file holds.

    Raises:
        TargetError: the target does not exist, or it cannot be loaded.
        MissingExtraError: the target's framework is not installed.
    """
    prefix, colon, name = text.partition(":")
    if colon and prefix in collections():
        choose: Callable[[str], LoadedTarget] = collections()[prefix].load()
        return choose(name)
    path = Path(text)
    found = _loader_of(path)
    if found is None:
        return _load_code(text)
    if not path.exists():
        raise TargetError(f"the file {text} does not exist.")
    load: Loader = found.load()
    return load(path, class_name, trust)


def _loader_of(path: Path) -> EntryPoint | None:
    """Return the loader for a file's suffix, or for a file that marks a folder."""
    if not path.is_dir():
        return loaders().get(path.suffix.removeprefix("."))
    marked = (point for name, point in loaders().items() if (path / name).is_file())
    return next(marked, loaders()[FOLDER])


def _suffixes() -> str:
    return ", ".join(f".{name}" for name in loaders() if name.isalnum() and name != FOLDER)


def _is_model(found: object) -> bool:
    """Return whether an exporter accepts the object itself, so that it need not be called."""
    return any(point.load()().accepts(found) for point in exporters().values())


def _load_code(text: str) -> LoadedTarget:
    if ":" not in text and Path(text).suffix == ".py" and Path(text).is_file():
        raise TargetError(
            f"{text!r} is a file of Python code, expected the name of the model in it as well.",
            remedy=f"{text}:NAME, where NAME is the model, its class, or a function that makes it",
        )
    if ":" not in text:
        raise TargetError(
            f"{text!r} does not name a model.",
            remedy="use module:attr, file.py:attr, torchvision:resnet18, a folder of "
            f"transformers, or a file: {_suffixes()}",
        )
    found = load_attribute(text)
    name = text.rpartition(":")[2].rpartition(".")[2].removeprefix("make_").lower()
    makes = inspect.isclass(found) or inspect.isroutine(found)
    if not makes or _is_model(found):
        return LoadedTarget(found, name)
    try:
        model, is_untrained = call_watched(found)
    except (Exception, SystemExit) as exc:
        raise TargetError(f"calling {text} failed: {type(exc).__name__}: {exc}") from exc
    note = (
        f"{text} has random weights: it loaded none. For trained ones, name a function that loads "
        "them into the model and returns it"
    )
    return LoadedTarget(model, name, notes=(note,) if is_untrained else ())
