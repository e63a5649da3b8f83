"""How a model is best served: measured when it warms up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

import numpy as np

from onnxpack.detections import compare_all
from onnxpack.errors import OnnxpackError
from onnxpack.pack.tensor import read_tensor
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

Feeds: TypeAlias = Mapping[str, Array]
MEASURED = 5
EXAMPLES = 3
"""Golden sets that are looked at."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How requests meet the sessions, as measured at warm-up.

    Attributes:
        inline: small requests run in the event loop, since a thread switch takes longer.
        batched: requests run together, since rows were shown not to depend on each other.
        reason: why requests do not run together, where they do not.
    """

    inline: bool
    batched: bool
    reason: str = ""


def measure(model: Model) -> Policy:
    """Warm the model up, and see how it is best served."""
    try:
        examples = [*_examples(model)]
        if not examples:
            return Policy(False, False, "it has no golden data to show that its rows are apart")
        model.run(examples[0])
        reason = _why_not_together(model, examples)
        return Policy(_is_fast(model, examples[0]), not reason, reason)
    except OnnxpackError as exc:
        return Policy(False, False, f"its golden data cannot be run: {exc.message}")


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
    """Why requests cannot share a run; empty where they were shown to.

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
    """An example, and a different row that fits beside it."""
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


def _is_fast(model: Model, feeds: Feeds) -> bool:
    """Whether a run is over before a thread would have heard of it."""
    if any(spec.dtype == "str" for spec in model.signature.inputs):
        return False  # a text can be of any length
    with ThreadPoolExecutor(1) as threads:
        switch = min(_timed(lambda: threads.submit(int).result()) for _ in range(MEASURED))
    runs = (_timed(lambda: model.run(feeds)) for _ in range(MEASURED))
    return any(seconds < switch for seconds in runs)


def _timed(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start
