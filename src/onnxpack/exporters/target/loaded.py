"""A model that was named on the command line, with its labels, sample and notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from onnxpack.pack.manifest import Preprocess


@dataclass(frozen=True, slots=True)
class MadeUp:
    """A sample that is generated for users who give none.

    Attributes:
        make: returns the sample; raises TargetError if none can be generated.
        note: says what the sample consists of.
    """

    make: Callable[[], Any]
    note: str


@dataclass(frozen=True, slots=True)
class LoadedTarget:
    """A model that was named on the command line.

    Attributes:
        model: the model for :func:`onnxpack.export`.
        name: a name for its pack.
        labels: the names of the classes, if they came with the weights.
        preprocess: how images are prepared, if that came with the weights.
        notes: what the user should know.
        made_up: a generated sample, if the target states its inputs.
    """

    model: Any
    name: str
    labels: tuple[str, ...] | None = None
    preprocess: Preprocess | None = None
    notes: tuple[str, ...] = ()
    made_up: MadeUp | None = None

    def own_sample(self) -> tuple[Any, tuple[str, ...]]:
        """Return the sample to use if the user gives none, with notes about it."""
        if self.made_up is None:
            return None, ()
        return self.made_up.make(), (self.made_up.note,)


Loader: TypeAlias = Callable[[Path, str | None, bool], LoadedTarget]
"""Function that loads a file. Its arguments are the path, the class that the user named
(``--class``), and whether the file may run code (``--trust``). It raises TargetError if the file
cannot be loaded."""
