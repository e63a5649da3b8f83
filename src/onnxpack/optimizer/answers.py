"""Answers of a model to many rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from onnxpack.optimizer.data import Rows
from onnxpack.signature import Array

Answers: TypeAlias = "Mapping[str, Array | Sequence[Array]]"
"""For each output the rows along the first axis; a list where rows have different shapes, as the
boxes of a detector have."""

Run: TypeAlias = "Callable[[Mapping[str, Array]], Mapping[str, Array]]"
"""From an array for each input to an array for each output."""


def collect(run: Run, rows: Rows, *, batch: int = 0) -> Answers:
    """Return ask a model about all rows, one feed at a time.

    Args:
        run: predicts, such as :meth:`onnxpack.Model.run`.
        rows: what to ask.
        batch: rows of a feed, see :meth:`Rows.feeds`.
    """
    parts: dict[str, list[Array]] = {}
    for feed in rows.feeds(batch):
        for name, array in run(feed).items():
            parts.setdefault(name, []).append(array)
    return {name: _joined(arrays, rows, name) for name, arrays in parts.items()}


def count_rows(answers: Answers) -> int:
    """Return how many rows were answered."""
    return min((len(answer) for answer in answers.values()), default=0)


def _joined(arrays: list[Array], rows: Rows, name: str) -> Array | list[Array]:
    """Return one array with rows along the first axis where that is possible."""
    if _has_batch(rows, name) and len({array.shape[1:] for array in arrays}) == 1:
        return np.concatenate(arrays)
    same = len({array.shape for array in arrays}) == 1
    return np.stack(arrays) if same else arrays


def _has_batch(rows: Rows, name: str) -> bool:
    """Return whether the first axis of an output is the batch of the inputs."""
    if rows.whole:
        return False
    first = {spec.shape[0] for spec in rows.signature.inputs if spec.shape}
    shape = next(spec.shape for spec in rows.signature.outputs if spec.name == name)
    return shape[0] in first if shape else False
