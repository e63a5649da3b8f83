"""Show that the rows of a batch do not depend on each other, so that requests may run together.

A model can mix the rows of a batch, or exchange them: then a client would get an answer that
depends on another client's input, or is another client's. The pack is what is tested here, so
neither its tolerance nor its golden data decide: rows are made from the golden inputs, and a row
counts only if its answer differs from another's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

import numpy as np

from onnxpack.comparison.tolerance import Tolerance, compare
from onnxpack.errors import OnnxpackError
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

Feeds: TypeAlias = Mapping[str, Array]

COUNTS = (2, 3)
"""Numbers of rows that are tried together, each in both orders."""
PROBES = 5
"""Rows that are tried; more if only they show that an output differs from row to row."""
CANDIDATES = 40
"""Most rows that are run to find such with different answers."""
STRICT = Tolerance()
"""Kernels round differently for another number of rows, by less than this."""


class Probe(NamedTuple):
    """One row, and the model's answer to a batch of only this row."""

    row: Feeds
    answer: Feeds


def find_probes(model: Model, examples: Sequence[Feeds]) -> tuple[Probe, ...]:
    """Return rows that the model accepts, with different answers if it has any."""
    probes: list[Probe] = []
    equal: list[Probe] = []
    uniform: set[str] = set()
    for row in islice(_candidates(examples), CANDIDATES):
        if len(probes) >= PROBES and not uniform:
            break
        try:
            answer = model.run(row)
        except OnnxpackError:
            continue  # a changed row may be one that the model refuses
        differing = [_differing(probe.answer, answer) for probe in probes]
        if not all(differing):
            equal.append(Probe(row, answer))
        elif len(probes) < PROBES or uniform & differing[0]:
            uniform = uniform - differing[0] if probes else {*answer}
            probes.append(Probe(row, answer))
    # Rows that get one answer alone can get different ones together.
    return tuple(probes if len(probes) > 1 else (probes + equal)[:PROBES])


def why_dependent(model: Model, probes: Sequence[Probe], counts: Sequence[int]) -> str:
    """Return why requests cannot run together; empty if their rows were shown to be independent.

    Args:
        model: the model.
        probes: rows with their answers; see ``find_probes``.
        counts: numbers of rows to try together.
    """
    if not probes:
        return "it accepts no single row of its golden data"
    for name, array in probes[0].answer.items():
        if not array.ndim or len(array) != 1:
            return f"{name!r} does not have as many rows as the inputs"
    for count in counts:
        # Another count begins with another row, so that each row has other neighbours.
        batch = [probes[(count + at) % len(probes)] for at in range(count)]
        for ordered in (batch, batch[::-1]):
            reason = _why_not_together(model, ordered)
            if reason:
                return reason
    for name in probes[0].answer:
        if all(name not in _differing(probes[0].answer, probe.answer) for probe in probes):
            return (
                f"{name!r} is the same for every row that was tried, so nothing shows that its "
                "rows do not depend on each other"
            )
    return ""


def _why_not_together(model: Model, batch: Sequence[Probe]) -> str:
    together = {name: np.concatenate([probe.row[name] for probe in batch]) for name in batch[0].row}
    try:
        found = model.run(together)
    except OnnxpackError:
        return f"it fails on a batch of {len(batch)} rows"
    for name, array in found.items():
        if not array.ndim or len(array) != len(batch):
            return f"{name!r} does not have as many rows as the inputs"
        for at, probe in enumerate(batch):
            if not compare(name, probe.answer[name], array[at : at + 1], STRICT).passed:
                return f"a row of {name!r} changes with the other rows of its batch"
    return ""


def _differing(one: Feeds, other: Feeds) -> set[str]:
    """Return the names of outputs that differ."""
    return {name for name in one if not compare(name, one[name], other[name], STRICT).passed}


def _candidates(examples: Sequence[Feeds]) -> Iterator[Feeds]:
    """Yield rows of the examples that fit together, then changed ones."""
    rows = [
        {name: array[at : at + 1] for name, array in example.items()}
        for example in examples
        for at in range(min(map(len, example.values())))
    ]
    fitting = [row for row in rows if _shapes(row) == _shapes(rows[0])]
    yield from fitting
    for change in _CHANGES:
        for row in fitting[:PROBES]:
            yield {name: change(array) for name, array in row.items()}


def _shapes(row: Feeds) -> list[tuple[int, ...]]:
    return [array.shape for array in row.values()]


def _rolled(array: Array) -> Array:
    """Return the values in other places: they stay those that the model knows, such as tokens."""
    return np.roll(array, 1, axis=-1) if array.ndim > 1 else array


def _scaled(factor: float) -> Callable[[Array], Array]:
    def change(array: Array) -> Array:
        return (array * factor).astype(array.dtype) if array.dtype.kind == "f" else _rolled(array)

    return change


_CHANGES = (_rolled, _scaled(0.5), _scaled(-1.0), _scaled(3.0))
