"""Find the line of the user's code that is running, by the one rule that every watch uses.

A watch is called from deep inside torch's dispatcher, our own modes and decompositions, or a
library's layer. The line to report is the innermost one that is not ours. Our frames are recognised
by their package, never by a list of modules: a frame missing from such a list once hid every
decision of low-precision models.
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeAlias

OURS = "onnxpack"
"""The package whose frames stand between a model and its caller."""
OUTERMOST = "onnxpack.exporters.torch.flat"
"""The module that calls a PyTorch model: frames beyond it belong to the export, not the model."""
TRACE_AWARE = ("torch", "torchvision")
"""Packages whose own conversions are written with tracing in mind."""

Within: TypeAlias = Callable[[str], bool]
"""Function that returns whether frames of a module are skipped in favour of their caller."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the user's code."""

    file: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}: {self.code}"


def frames_of_model() -> Iterator[FrameType]:
    """Yield the frames between the running line and the call of the model, innermost first.

    Our own frames are left out. Yields nothing for code that runs outside of a model.
    """
    frame = inspect.currentframe()
    found: list[FrameType] = []
    while frame is not None:
        module = module_of(frame)
        if module == OUTERMOST:
            yield from found
            return
        if package_of(module) != OURS:
            found.append(frame)
        frame = frame.f_back


def user_line(within: Within) -> Place | None:
    """Return the running line of the user's code; None if a library's own line is running.

    Args:
        within: returns whether frames of a module are skipped, because they act for the line that
            called them.
    """
    for frame in frames_of_model():
        module = module_of(frame)
        if not within(module):
            return None if package_of(module) in TRACE_AWARE else place_in(frame)
    return None


def of_torch(module: str) -> bool:
    """Return whether a module is torch's own, which acts for the user's line."""
    return package_of(module) == "torch"


def place_in(frame: FrameType, line: int | None = None) -> Place:
    """Return the line at which a frame stands, or another one of its lines."""
    file, number = frame.f_code.co_filename, line or frame.f_lineno
    return Place(file, number, linecache.getline(file, number).strip())


def listed(places: Iterable[Place | str]) -> str:
    """Return the first three places as text."""
    return "; ".join(map(str, list(places)[:3]))


def module_of(frame: FrameType) -> str:
    """Return the name of the module that a frame's function was defined in."""
    return str(frame.f_globals.get("__name__", ""))


def package_of(module: str) -> str:
    """Return the outermost package of a dotted module name."""
    return module.partition(".")[0]
