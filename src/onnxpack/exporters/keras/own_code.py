"""Find code in a Keras model that Keras did not write.

Keras promises that its own layers answer the same on every backend. A user's layer, lambda or
activation may ask which backend it runs on, or look for a method that only one backend's tensors
have, and answer differently there. The cases of a proof do not reach every such branch. So a graph
from another backend is accepted only if the model consists of nothing but Keras's own parts.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

from onnxpack.errors import ExportError
from onnxpack.exporters.frames import package_of

CONFIG = "config.json"
VALUES = {"__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"}
"""Constants and places in a graph, by Keras's names."""


def refuse_own_functions(model: Any) -> None:
    """Refuse a model one of whose layers holds a function that is not Keras's own.

    A saved file does not show all such functions: it lacks a ``call`` that was replaced on one
    layer.

    Raises:
        ExportError: there is such a function.
    """
    for layer in model._flatten_layers():  # noqa: SLF001 - Keras has no public way in
        for name, value in vars(layer).items():
            function = getattr(value, "__func__", value)
            if isinstance(function, FunctionType) and not _is_of_keras(function.__module__):
                raise _refusal(f"{name!r} of layer {layer.name!r}")


def refuse_own_classes(saved: Path) -> None:
    """Refuse a ``.keras`` file that names a class or a function that is not Keras's own.

    Raises:
        ExportError: it names one.
    """
    with zipfile.ZipFile(saved) as archive:
        config = json.loads(archive.read(CONFIG))
    for name in _foreign(config):
        raise _refusal(name)


def _refusal(part: str) -> ExportError:
    return ExportError(
        f"not tried, because {part} is custom code, which can answer differently on another backend"
    )


def _foreign(config: Any) -> Iterator[str]:
    """Yield the name of each part of a configuration that is not one of Keras's own classes."""
    if isinstance(config, list):
        for each in config:
            yield from _foreign(each)
    elif isinstance(config, dict):
        kind = config.get("class_name")
        kept = _is_of_keras(config.get("module")) and kind != "Lambda"
        if isinstance(kind, str) and kind not in VALUES and not kept:
            inner = config.get("config")
            yield inner if kind == "function" and isinstance(inner, str) else kind
        for each in config.values():
            yield from _foreign(each)


def _is_of_keras(module: object) -> bool:
    return isinstance(module, str) and package_of(module) == "keras"
