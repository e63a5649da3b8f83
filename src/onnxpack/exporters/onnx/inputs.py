"""Inputs of a graph that have a default value."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

OPTIONAL_SINCE = 4
"""Before this IR version every initializer has to be listed as an input, and none can be given."""
SHOWN = 3


def make_constant(model: ir.Model) -> Sequence[str]:
    """Take the initializers off a graph's inputs, in place.

    ONNX Runtime lets a caller override them. A pack's inputs are those that have to be given.

    Returns:
        The names of those that a caller could override.
    """
    graph = model.graph
    defaults = [str(value.name) for value in graph.inputs if value.name in graph.initializers]
    graph.inputs[:] = [value for value in graph.inputs if value.name not in graph.initializers]
    is_choice = (model.ir_version or 0) >= OPTIONAL_SINCE
    if defaults and not is_choice:
        model.ir_version = OPTIONAL_SINCE
    return defaults if is_choice else ()


def notes_of_constants(names: Sequence[str]) -> list[str]:
    """Return a note on the inputs that the file lets a caller override, and the pack does not."""
    if not names:
        return []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = f"{', '.join(map(repr, names[:SHOWN]))}{more}"
    return [f"optional inputs of the file are constant in the pack, at their defaults: {shown}"]
