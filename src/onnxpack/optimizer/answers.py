"""Collect a model's answers to many rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from onnxpack.optimizer.data import Rows
from onnxpack.signature import Array

Answers: TypeAlias = "Mapping[str, Array | Sequence[Array]]"
"""For each output, an array with rows along the first axis, or a list of rows of different shapes.

The boxes of a detector, for example, have different shapes.
"""

Run: TypeAlias = "Callable[[Mapping[str, Array]], Mapping[str, Array]]"
"""A function from an array for each input to an array for each output."""


def collect(run: Run, rows: Rows, *, batch: int = 0) -> Answers:
    """Run a model on all rows, one feed at a time, and return its answers.

    Args:
        run: function that predicts, such as :meth:`onnxpack.Model.run`.
        rows: rows to predict.
        batch: rows of a feed, see :meth:`Rows.feeds`.
    """
    parts: dict[str, list[Array]] = {}
    for feed in rows.feeds(batch):
        for name, array in run(feed).items():
            parts.setdefault(name, []).append(array)
    return {name: _joined(arrays, rows, name) for name, arrays in parts.items()}


def count_rows(answers: Answers) -> int:
    """Return the number of answered rows."""
    return min((len(answer) for answer in answers.values()), default=0)


def _joined(arrays: list[Array], rows: Rows, name: str) -> Array | list[Array]:
    """Return one array with rows along the first axis if possible, else a list."""
    if _has_batch(rows, name) and len({array.shape[1:] for array in arrays}) == 1:
        return np.concatenate(arrays)
    same = len({array.shape for array in arrays}) == 1
    return np.stack(arrays) if same else arrays


def _has_batch(rows: Rows, name: str) -> bool:
    """Return whether the first axis of an output is the batch axis of the inputs."""
    if rows.whole:
        return False
    first = {spec.shape[0] for spec in rows.signature.inputs if spec.shape}
    shape = next(spec.shape for spec in rows.signature.outputs if spec.name == name)
    return shape[0] in first if shape else False
