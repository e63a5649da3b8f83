"""How a model is best served: measured when it warms up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

import numpy as np

from onnxpack.comparison.detections import compare_all
from onnxpack.errors import OnnxpackError
from onnxpack.pack.tensor import read_tensor
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

Feeds: TypeAlias = Mapping[str, Array]
MEASURED = 5
EXAMPLES = 3
"""Golden sets that are looked at."""
MAX_ROWS = 64
"""Rows that run together at most, where nobody asked for more."""
WORTH = 0.9
"""A row among twice as many has to take less than this part of the time, or they are too many."""
FAR = 100
"""A run that takes so many thread switches is no matter of chance."""
SURE_SECONDS = 0.005
"""A run this long is not much longer by chance."""
LONG_SECONDS = 0.1
"""A run that takes longer is not made longer still: the next request waits for its end."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How requests meet the sessions, as measured at warm-up.

    Attributes:
        inline: small requests run in the event loop, since a thread switch takes longer.
        apart: rows were shown not to depend on each other, so that requests may run together.
        rows: how many rows run together at most.
        reason: why requests do not run together, where they do not.
    """

    inline: bool
    apart: bool
    rows: int = 1
    reason: str = ""

    @property
    def batched(self) -> bool:
        """Whether requests run together."""
        return self.rows > 1


def measure(model: Model, max_rows: int | None = None) -> Policy:
    """Warm the model up, and see how it is best served.

    Args:
        max_rows: how many rows may run together; None measures how many are worth it.
    """
    try:
        examples = [*_examples(model)]
        if not examples:
            return _alone("it has no golden data to show that its rows are apart")
        model.run(examples[0])
        reason = _why_not_together(model, examples)
        inline = _is_fast(model, examples[0])
        if reason:
            return _alone(reason, inline=inline)
        rows = max_rows or _worthy_rows(model, examples[0])
        alone = "a batch is one row" if max_rows else "two rows at once are no faster"
        return Policy(inline, True, rows, "" if rows > 1 else alone)
    except OnnxpackError as exc:
        return _alone(f"its golden data cannot be run: {exc.message}")


def _alone(reason: str, *, inline: bool = False) -> Policy:
    return Policy(inline, apart=False, reason=reason)


def _examples(model: Model) -> Iterator[Feeds]:
    """The inputs of the first golden sets; where the names are not the graph's, by their place."""
    names = [spec.name for spec in model.signature.inputs]
    for golden in model.pack.golden[:EXAMPLES]:
        tensors = [read_tensor(path) for path in golden.inputs]
        given = dict(tensors)
        if given.keys() != set(names):
            given = dict(zip(names, (array for _, array in tensors), strict=False))
        yield given


def _why_not_together(model: Model, examples: list[Feeds]) -> str:
    """Return why requests cannot share a run; empty where they were shown to.

    A model can mix the rows of a batch, and then an answer would depend on who else asked. A row
    may depend on those before it alone, so the examples are put on both sides of another row.
    """
    specs = (*model.signature.inputs, *model.signature.outputs)
    first = {spec.shape[0] if spec.shape else None for spec in specs}
    if len(first) > 1 or not isinstance(next(iter(first), None), str):
        return "its inputs and outputs do not share a dynamic first axis"
    pair = next(_pairs(examples), None)
    if pair is None:
        return "its golden data is too uniform to show that its rows do not depend on each other"
    alone, other = pair
    rows = len(next(iter(alone.values())))
    expected = model.run(alone)
    for parts, kept in (((alone, other), slice(rows)), ((other, alone), slice(1, None))):
        together = {name: np.concatenate([part[name] for part in parts]) for name in alone}
        try:
            found = model.run(together)
        except OnnxpackError:
            return "it fails on another batch size"
        if any(len(array) != rows + 1 for array in found.values()):
            return "its outputs have not as many rows as its inputs"
        actual = {name: array[kept] for name, array in found.items()}
        for evidence in compare_all(expected, actual, model.pack.tolerance):
            if not evidence.passed:
                return f"a row of {evidence.output!r} changes with the other rows of its batch"
    return ""


def _pairs(examples: list[Feeds]) -> Iterator[tuple[Feeds, Feeds]]:
    """Yield an example, and a different row that fits beside it."""
    for alone in examples:
        rolled = {
            name: np.roll(array[:1], 1, axis=-1) if array.ndim > 1 else array[-1:]
            for name, array in alone.items()
        }
        for other in (*examples, rolled):
            row = {name: array[:1] for name, array in other.items()}
            if _fit(alone, row) and any(
                not np.array_equal(alone[name][:1], row[name]) for name in alone
            ):
                yield alone, row


def _fit(alone: Feeds, row: Feeds) -> bool:
    return all(
        len(alone[name]) > 0
        and len(row[name]) == 1
        and alone[name].shape[1:] == row[name].shape[1:]
        for name in alone
    )


def _worthy_rows(model: Model, example: Feeds) -> int:
    """Twice as many, as long as each then takes less time; some models gain nothing."""
    rows, seconds = 1, _seconds(model, example, 1)
    while rows < MAX_ROWS and seconds < LONG_SECONDS:
        twice = _seconds(model, example, 2 * rows)
        if twice > 2 * WORTH * seconds:
            break
        rows, seconds = 2 * rows, twice
    return rows


def _seconds(model: Model, example: Feeds, rows: int) -> float:
    feeds = {name: np.repeat(array[:1], rows, axis=0) for name, array in example.items()}
    once = _timed(lambda: model.run(feeds))
    return once if once > SURE_SECONDS else min(once, _timed(lambda: model.run(feeds)))


def _is_fast(model: Model, feeds: Feeds) -> bool:
    """Return whether a run is over before a thread would have heard of it."""
    if any(spec.dtype == "str" for spec in model.signature.inputs):
        return False  # a text can be of any length
    with ThreadPoolExecutor(1) as threads:
        switch = min(_timed(lambda: threads.submit(int).result()) for _ in range(MEASURED))
    for _ in range(MEASURED):
        seconds = _timed(lambda: model.run(feeds))
        if seconds < switch or seconds > FAR * switch:
            return seconds < switch
    return False


def _timed(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start
