"""Find the rows of a case that a model accepts, if it refuses the case as a whole.

One value can make a model refuse a whole batch: an index outside of its table, or a missing value
in a column without missing values. The other rows are worth trying. So the rows are halved until
the refused ones are found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxpack.parity.dims import BATCH, Axes
from onnxpack.signature import Array

MAX_CALLS = 24
"""Largest number of runs of the model to find the rows that it refuses."""

Feeds = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Tolerated:
    """The rows that a model accepts.

    Attributes:
        feeds: the case with the refused rows replaced by accepted ones, so that its sizes stay.
        refused: the numbers of the rows that were replaced.
    """

    feeds: dict[str, Array]
    refused: tuple[int, ...]


def tolerated_rows(
    takes: Callable[[Feeds], Any], feeds: Feeds, axes: Axes, rows: int
) -> Tolerated | None:
    """Return the case with every refused row replaced; None if the rows cannot be separated.

    Args:
        takes: runs the model; it raises where the model refuses.
        rows: how many rows the case has.
    """
    calls = 0

    def search(low: int, high: int) -> Iterator[int]:
        nonlocal calls
        if calls == MAX_CALLS:
            return
        calls += 1
        if _is_taken(takes, _with_rows(feeds, axes, np.arange(low, high))):
            yield from range(low, high)
        elif high - low > 1:
            middle = (low + high) // 2
            yield from search(low, middle)
            yield from search(middle, high)

    if rows < 2:
        return None
    middle = rows // 2
    kept = [*search(0, middle), *search(middle, rows)]
    if not 0 < len(kept) < rows:
        return None
    refused = tuple(sorted(set(range(rows)).difference(kept)))
    filled = np.arange(rows)
    filled[list(refused)] = np.resize(kept, len(refused))
    return Tolerated(_with_rows(feeds, axes, filled), refused)


def _is_taken(takes: Callable[[Feeds], Any], feeds: Feeds) -> bool:
    try:
        takes(feeds)
    except Exception:  # noqa: BLE001 - a model refuses in any way it likes
        return False
    return True


def _with_rows(feeds: Feeds, axes: Axes, rows: Array) -> dict[str, Array]:
    """Return the inputs with only these rows of the batch, on whichever axis the batch is."""
    found = dict(feeds)
    for name, named in axes.items():
        for axis, dim in named.items():
            if dim == BATCH:
                found[name] = found[name].take(rows, axis=axis)
    return found
