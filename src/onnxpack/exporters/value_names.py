"""Name a graph's inputs and outputs after a user's columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from onnxpack.errors import SampleError

T = TypeVar("T")
RENAMED = "_output"
"""Suffix of an output whose name an input has."""


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a free name for an output: the name itself, or with ``_output`` appended.

    Values of a graph have unique names, so an input and an output cannot share one. The input keeps
    the user's name, because requests use it.
    """
    while name in taken:
        name += RENAMED
    return name


def rename_outputs(outputs: Mapping[str, T], inputs: Collection[str]) -> dict[str, T]:
    """Return the outputs under names that no input has."""
    return {free_name(name, inputs): value for name, value in outputs.items()}


def notes_of_renamed(outputs: Iterable[str], inputs: Collection[str]) -> list[str]:
    """Return a note for each output that was renamed because of an input."""
    return [
        f"a column is called {name!r}, so the output with that name is called "
        f"{free_name(name, inputs)!r}"
        for name in outputs
        if name in inputs
    ]


def input_names(columns: Iterable[object]) -> tuple[list[str], list[str]]:
    """Return the input name of each column of a frame, and notes on columns without a name.

    Raises:
        SampleError: two columns have one name.
    """
    names, notes = [str(name) for name in columns], []
    for at, name in enumerate(names):
        if not name:  # in ONNX an empty name means a missing value
            names[at] = free_name(f"column_{at}", names)
            notes.append(f"column {at} has no name, so its input is called {names[at]!r}")
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise SampleError(
            f"two columns of the frame are called {twice!r}, but input names must be unique.",
            remedy="before fit and here: "
            "frame.columns = [f'{name}_{at}' for at, name in enumerate(frame.columns)]",
        )
    return names, notes
