"""Print a model's outputs: the likeliest classes, or a summary of each output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from onnxpack.notebook import one_line
from onnxpack.runtime.probabilities import to_probabilities
from onnxpack.signature import describe

if TYPE_CHECKING:
    from onnxpack.signature import Array

FIRST_VALUES = 5
SHOWN_ROWS = 16


class Guess(msgspec.Struct, frozen=True):
    """A class and its probability."""

    label: str
    index: int
    probability: float


class Ranking(msgspec.Struct, frozen=True):
    """The likeliest classes in each row of one output.

    Attributes:
        output: name of the output.
        softmax: whether probabilities were computed from logits; False if the model returns them.
        rows: guesses of each row, the likeliest first.
    """

    output: str
    softmax: bool
    rows: tuple[tuple[Guess, ...], ...]


def rank(
    outputs: Mapping[str, Array], labels: Sequence[str] | None, *, top: int
) -> tuple[Ranking, ...]:
    """Return a ranking for each output of the form [batch, classes]; empty without labels."""
    return tuple(
        _rank(name, array, labels, top)
        for name, array in outputs.items()
        if labels and array.ndim == 2 and array.dtype.kind == "f" and array.shape[1] == len(labels)
    )


def _rank(name: str, array: Array, labels: Sequence[str], top: int) -> Ranking:
    rows, softmax = to_probabilities(array)
    order = np.argsort(-rows, axis=1, kind="stable")[:, :top]
    return Ranking(
        name,
        softmax,
        tuple(
            tuple(Guess(labels[i], int(i), float(row[i])) for i in best)
            for row, best in zip(rows, order, strict=True)
        ),
    )


def ranking_lines(ranking: Ranking) -> list[str]:
    """Return a ranking as lines of text."""
    how = "softmax of the model's outputs" if ranking.softmax else "as the model gives them"
    lines = [f"{one_line(ranking.output)}: probabilities, {how}"]
    for number, guesses in enumerate(ranking.rows[:SHOWN_ROWS]):
        if len(ranking.rows) > 1:
            lines.append(f"row {number}")
        lines += [f"  {guess.probability:7.2%}  {one_line(guess.label)}" for guess in guesses]
    if len(ranking.rows) > SHOWN_ROWS:
        lines.append(
            f"and {len(ranking.rows) - SHOWN_ROWS} more rows; -o and --json include all of them"
        )
    return lines


def summary_line(name: str, array: Array) -> str:
    """Return one line that describes an output: dtype, shape, range and first values."""
    dtype = "str" if array.dtype.kind == "O" else str(array.dtype)
    what = f"{one_line(name)}: {describe(dtype, array.shape)}"
    if not array.size:
        return f"{what}  empty"
    flat = array.reshape(-1)
    more = ", …" if array.size > FIRST_VALUES else ""
    if array.dtype.kind not in "iuf":
        return (
            f"{what}  first {', '.join(one_line(str(each)) for each in flat[:FIRST_VALUES])}{more}"
        )
    first = ", ".join(f"{value:.4g}" for value in flat[:FIRST_VALUES])
    return (
        f"{what}  min {flat.min():.4g}  mean {flat.mean(dtype=np.float64):.4g}  "
        f"max {flat.max():.4g}  first {first}{more}"
    )
