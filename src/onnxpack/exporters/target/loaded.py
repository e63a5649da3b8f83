"""A model that was named on the command line, with what came with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from onnxpack.pack.manifest import Preprocess


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A sample for those who give none.

    Attributes:
        make: makes it; raises TargetError where none can be made up.
        note: says of what it is.
    """

    make: Callable[[], Any]
    note: str


@dataclass(frozen=True, slots=True)
class LoadedTarget:
    """A model that was named on the command line.

    Attributes:
        model: what :func:`onnxpack.export` takes.
        name: a name for its pack.
        labels: the classes' names, where the weights came with them.
        preprocess: how pictures are prepared, where the weights came with it.
        notes: what the user should know.
        made_up: a sample, where the target tells what one looks like.
    """

    model: Any
    name: str
    labels: tuple[str, ...] | None = None
    preprocess: Preprocess | None = None
    notes: tuple[str, ...] = ()
    made_up: MadeUp | None = None

    def own_sample(self) -> tuple[Any, tuple[str, ...]]:
        """Return the sample where the user gives none, with what the user should know of it."""
        if self.made_up is None:
            return None, ()
        return self.made_up.make(), (self.made_up.note,)


Loader: TypeAlias = Callable[[Path, str | None, bool], LoadedTarget]
"""Loads a file: its path, the class that the user named (``--class``), and whether what it holds
may run code (``--trust``). It raises TargetError where the file cannot be loaded."""
