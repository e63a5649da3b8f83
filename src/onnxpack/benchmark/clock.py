"""Time several calls alternately, so that the machine's drift affects all of them.

Calls are timed in blocks, block after block, in rounds. A block begins with calls that are not
counted: the threads of the previous call may still be spinning, and its data fills the caches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeAlias

import numpy as np

Call: TypeAlias = Callable[[], object]

ROUNDS = 9
"""Least number of rounds; the interval of a ratio is drawn from the rounds."""
BLOCK = 0.1
"""Seconds of a block; a block has at least one call."""
SETTLE = 0.01
"""Seconds of calls at the start of a block that are not counted.

OpenMP's and ONNX Runtime's threads spin for some milliseconds after their last work.
"""
MAX_CALLS = 20_000
"""Most calls of one block."""
PATIENCE = 5
"""Factor of the planned seconds after which a block ends early.

On a busy machine, threads that wait for each other may take a thousand times as long as in the
calls that set the number of calls.
"""


@dataclass(frozen=True, slots=True)
class Timed:
    """The seconds of each call, round by round."""

    rounds: tuple[tuple[float, ...], ...]

    @property
    def median(self) -> float:
        """The median of all calls, in seconds."""
        return self.percentile(50)

    def percentile(self, percent: float) -> float:
        """Return a percentile of all calls, in seconds."""
        return float(np.percentile(np.concatenate(self.rounds), percent))

    @property
    def medians(self) -> Sequence[float]:
        """The median of each round, in seconds."""
        return [float(np.median(each)) for each in self.rounds]


def interleave(calls: Mapping[str, Call], *, seconds: float) -> dict[str, Timed]:
    """Time calls alternately, and return the seconds of each.

    Args:
        calls: calls to time, by name. Each must have been called before, so that one-time work of a
            first call is not timed.
        seconds: how long each call is timed, approximately; slow calls take longer, since each
            round needs one.
    """
    lengths = {name: _block_length(call) for name, call in calls.items()}
    longest = max(BLOCK, *(count * each for count, each in lengths.values()))
    rounds = max(ROUNDS, int(seconds / longest))
    blocks: dict[str, list[tuple[float, ...]]] = {name: [] for name in calls}
    names = list(calls)
    for at in range(rounds):
        # Each round begins with another call, so that none always runs after the same one.
        first = at % len(names)
        for name in names[first:] + names[:first]:
            blocks[name].append(_block(calls[name], lengths[name][0]))
    return {name: Timed(tuple(found)) for name, found in blocks.items()}


def _block_length(call: Call) -> tuple[int, float]:
    """Return the number of calls in a block, and the seconds of one call."""
    each = min(_block(call, 3))
    return min(MAX_CALLS, max(1, int(BLOCK / max(each, 1e-9)))), each


def _block(call: Call, count: int) -> tuple[float, ...]:
    settled = perf_counter() + SETTLE
    while True:
        call()
        if perf_counter() >= settled:
            break
    found: list[float] = []
    late = perf_counter() + PATIENCE * BLOCK
    while len(found) < count:
        start = perf_counter()
        call()
        ended = perf_counter()
        found.append(ended - start)
        if ended > late:
            break
    return tuple(found)
