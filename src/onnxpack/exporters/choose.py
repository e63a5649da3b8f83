"""Choose the exporter for a model."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from onnxpack.errors import TargetError
from onnxpack.parity.subject import Exporter
from onnxpack.plugins import exporters


def exporter_for(model: Any, sample: Any) -> Exporter:
    """Return the exporter that accepts the model and that no other accepting exporter refines.

    Args:
        sample: the sample that was given with the model, for the message.

    Raises:
        TargetError: no exporter accepts the model.
    """
    asked: dict[str, Exporter] = {name: point.load()() for name, point in exporters().items()}
    accepting = {name: each for name, each in asked.items() if each.accepts(model)}
    refined = {each.refines for each in accepting.values()}
    for name, exporter in accepting.items():
        if name not in refined:
            return exporter
    raise TargetError(
        f"a {type(model).__module__}.{type(model).__qualname__} is not a model that onnxpack "
        f"can export; it exports: {', '.join(exporters())}.",
        remedy=_instead(model, sample),
    )


def _instead(model: Any, sample: Any) -> str:
    """Return a remedy that says what the user may have meant."""
    if any(point.load()().accepts(sample) for point in exporters().values()):
        return "the model comes first: onnxpack.export(sample, model, ...)"
    if isinstance(model, FunctionType | functools.partial) and "jax" in sys.modules:
        return "if it is a JAX function: onnxpack.export(jax.jit(function), sample, ...)"
    if isinstance(model, type):
        return f"export an instance: {model.__name__}(...)"
    if isinstance(model, Mapping):
        return (
            "weights are not a model: create the model, and load them with "
            "model.load_state_dict(...)"
        )
    return ""
