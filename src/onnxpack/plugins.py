"""Exporters are found by their entry points, and loaded when one is asked for."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

GROUP = "onnxpack.exporters"


@cache
def exporters() -> dict[str, EntryPoint]:
    """The installed exporters by name, sorted; none is imported."""
    return {point.name: point for point in sorted(entry_points(group=GROUP))}
