"""Choose how to serve a model, by measurements at warm-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from onnxpack.errors import OnnxpackError
from onnxpack.pack.tensor import read_tensor
from onnxpack.runtime.model import Model
from onnxpack.server.models.independence import COUNTS, Feeds, find_probes, why_dependent

MEASURED = 5
EXAMPLES = 3
"""Number of golden sets that are used."""
MAX_ROWS = 64
"""Most rows that run together, unless a number was asked for."""
WORTH = 0.9
"""Doubling the rows must reduce the time per row to this fraction, or it is not worth it."""
FAR = 100
"""Thread switches after which a run counts as slow: it is not so long by chance."""
SURE_SECONDS = 0.005
"""Runs at least this long, in seconds, are timed once: chance matters little."""
LONG_SECONDS = 0.1
"""Runs longer than this, in seconds, get no more rows: the next request waits for their end."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How requests are run on the sessions, as measured at warm-up.

    Attributes:
        inline: whether small requests run in the event loop, since a thread switch takes longer.
        apart: whether rows were shown to be independent, so that requests may run together.
        rows: most rows that run together.
        reason: why requests do not run together; empty if they do.
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
    """Warm up the model and measure how to serve it.

    Args:
        model: the model to measure.
        max_rows: most rows that may run together; None measures how many are worth it.
    """
    try:
        examples = [*_examples(model)]
        if not examples:
            return _alone("it has no golden data to show that its rows are independent")
        model.run(examples[0])
        inline = _is_fast(model, examples[0])
        probes = find_probes(model, examples)
        reason = _axes_differ(model) or why_dependent(model, probes, COUNTS)
        if reason:
            return _alone(reason, inline=inline)
        rows = max_rows or _worthy_rows(model, examples[0])
        reason = why_dependent(model, probes, [rows]) if rows > max(COUNTS) else ""
        if reason:
            return _alone(reason, inline=inline)
        alone = "a batch is one row" if max_rows else "two rows at once are no faster"
        return Policy(inline, True, rows, "" if rows > 1 else alone)
    except OnnxpackError as exc:
        return _alone(f"its golden data cannot be run: {exc.message}")


def _alone(reason: str, *, inline: bool = False) -> Policy:
    return Policy(inline, apart=False, reason=reason)


def _examples(model: Model) -> Iterator[Feeds]:
    """Yield the inputs of the first golden sets, matched by position if their names differ."""
    names = [spec.name for spec in model.signature.inputs]
    for golden in model.pack.golden[:EXAMPLES]:
        tensors = [read_tensor(path) for path in golden.inputs]
        given = dict(tensors)
        if given.keys() != set(names):
            given = dict(zip(names, (array for _, array in tensors), strict=False))
        yield given


def _axes_differ(model: Model) -> str:
    """Return why a batch cannot be put together; empty if all first axes are one dynamic dim."""
    specs = (*model.signature.inputs, *model.signature.outputs)
    first = {spec.shape[0] if spec.shape else None for spec in specs}
    shared = len(first) == 1 and isinstance(next(iter(first)), str)
    return "" if shared else "its inputs and outputs do not share a dynamic first axis"


def _worthy_rows(model: Model, example: Feeds) -> int:
    """Return how many rows to run together: the number is doubled while the time a row falls."""
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
    """Return whether a run is shorter than a thread switch."""
    if any(spec.dtype == "str" for spec in model.signature.inputs):
        return False  # a text can have any length
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
