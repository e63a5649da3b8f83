"""Make inputs of a graph that have a default value constant."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

OPTIONAL_SINCE = 4
"""Before this IR version every initializer must be listed as an input, without being optional."""
SHOWN = 3


def make_constant(model: ir.Model) -> Sequence[str]:
    """Remove the initializers from a graph's inputs, in place.

    ONNX Runtime lets a caller override them. A pack's inputs are only those that must be given.

    Returns:
        The names of the inputs that a caller could override.
    """
    graph = model.graph
    defaults = [str(value.name) for value in graph.inputs if value.name in graph.initializers]
    graph.inputs[:] = [value for value in graph.inputs if value.name not in graph.initializers]
    is_choice = (model.ir_version or 0) >= OPTIONAL_SINCE
    if defaults and not is_choice:
        model.ir_version = OPTIONAL_SINCE
    return defaults if is_choice else ()


def notes_of_constants(names: Sequence[str]) -> list[str]:
    """Return a note on inputs that a caller of the file can override, but not of the pack."""
    if not names:
        return []
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = f"{', '.join(map(repr, names[:SHOWN]))}{more}"
    return [f"optional inputs of the file are constant in the pack, at their defaults: {shown}"]
