"""Find exporters, collections of models and loaders by entry points; they are imported on use."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

COLLECTIONS = "onnxpack.collections"
EXPORTERS, LOADERS = "onnxpack.exporters", "onnxpack.loaders"


def exporters() -> dict[str, EntryPoint]:
    """Return the installed exporters by name, sorted; none is imported."""
    return _points(EXPORTERS)


def collections() -> dict[str, EntryPoint]:
    """Return the installed collections of models, such as ``torchvision``, by name."""
    return _points(COLLECTIONS)


def loaders() -> dict[str, EntryPoint]:
    """Return the installed loaders by what they load.

    The key is a suffix without its dot, such as ``ckpt``, or a file that marks a folder, such as
    ``config.json``.
    """
    return _points(LOADERS)


@cache
def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in sorted(entry_points(group=group))}
