"""Load ``.keras`` files for the command line."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from onnxpack.errors import MissingExtraError, TargetError
from onnxpack.exporters.target.attribute import load_attribute
from onnxpack.exporters.target.loaded import LoadedTarget
from onnxpack.floors import require_floor
from onnxpack.zipped import check_zip

BACKEND = "KERAS_BACKEND"
TRUST = "if you trust where the file came from, add --trust: it lets the file run code"


def archive(path: Path, class_name: str | None, trust: bool) -> LoadedTarget:
    """Load a Keras archive, in Keras' safe mode unless it is trusted.

    Raises:
        TargetError: the file is not trusted and holds code, or Keras has a known hole; or it
            cannot be loaded.
        MissingExtraError: Keras is not installed.
    """
    check_zip(path, error=TargetError)
    if not trust:
        require_floor("keras")
    keras = _import_keras()
    custom = _custom_objects(class_name)
    try:
        model = keras.saving.load_model(
            path, custom_objects=custom, compile=False, safe_mode=not trust
        )
    except Exception as exc:
        raise TargetError(f"{path} cannot be loaded: {_brief(exc)}", remedy=_remedy(exc)) from exc
    return LoadedTarget(model, path.stem)


def _import_keras() -> Any:
    """Import Keras, with the torch backend unless another one was chosen."""
    if "keras" not in sys.modules and BACKEND not in os.environ and find_spec("torch"):
        os.environ[BACKEND] = "torch"
    try:
        import keras
    except ImportError as exc:
        raise MissingExtraError("keras", extra="keras") from exc
    return keras


def _custom_objects(class_name: str | None) -> dict[str, Any] | None:
    if class_name is None:
        return None
    found = load_attribute(class_name)
    return {found.__name__: found}


def _brief(exc: Exception) -> str:
    return " ".join(str(exc).split())[:400]


def _remedy(exc: Exception) -> str:
    said = str(exc)
    if "safe_mode" in said or "unsafe" in said.lower():
        return TRUST
    if "custom_objects" in said or "register_keras_serializable" in said:
        return "name the class that the file uses: --class module:Class"
    return ""
