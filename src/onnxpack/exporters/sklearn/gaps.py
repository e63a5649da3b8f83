"""Test rows with missing and unseen values, in one column or in many.

The model is first asked in which columns it accepts such values. A column in which it raises an
error would otherwise make the whole case fail, and the other columns would not be tested.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from onnxpack.signature import Array

UNSEEN = "never seen before"
SHARES = (0.1, 0.4, 0.8)
ROWS = 400
MOST = 64
"""The largest number of columns that are tested; a wider sample is thinned out evenly."""

Feeds = Mapping[str, Array]
Place = tuple[str, int]
"""The name of an input, and the number of a column in it."""
Run = Callable[[Feeds], object]


def gap_feeds(sample: Feeds, run: Run, closed: Collection[str] = ()) -> Iterator[tuple[str, Feeds]]:
    """Yield inputs with missing values, and with values that the model was not fitted with.

    Args:
        closed: columns in which unknown values are not tested. XGBoost (3.2) gives an unknown
            category the number of another one, or fails; the pack takes it as missing.
    """
    places = _tolerated(sample, _missing, run)
    if places:
        yield "missing values", _one_at_a_time(sample, places, _missing)
        yield from _many_missing(sample, places)
    unseen = _tolerated(sample, _unseen, run, without=closed)
    if unseen:
        yield "unseen values", _one_at_a_time(sample, unseen, _unseen)


def _many_missing(sample: Feeds, places: Sequence[Place]) -> Iterator[tuple[str, Feeds]]:
    random = np.random.default_rng(2)
    for share in SHARES:
        gaps = random.random((ROWS, len(places))) < share
        yield f"missing values, {share:.0%}", _with_gaps(sample, places, gaps)
    yield "no value", _with_gaps(sample, places, np.ones((1, len(places)), bool))
    if len(places) > 1:
        alone = ~np.eye(len(places), dtype=bool)
        yield "one value", _with_gaps(sample, places, np.tile(alone, (3, 1)))


def _with_gaps(sample: Feeds, places: Sequence[Place], gaps: Array) -> dict[str, Array]:
    """Return one row of the sample for each row of a mask, with the masked places emptied."""
    found = _rows(sample, np.arange(len(gaps)))
    for number, (name, at) in enumerate(places):
        values = _missing(sample[name])
        _column(found[name], at)[gaps[:, number]] = values[0]
    return found


def _one_at_a_time(
    sample: Feeds, places: Sequence[Place], values_of: Callable[[Array], Sequence[Any]]
) -> dict[str, Array]:
    """Return one row for each place and value, with that value in that place."""
    changes = [(place, value) for place in places for value in values_of(sample[place[0]])]
    found = _rows(sample, np.arange(len(changes)))
    for row, ((name, at), value) in enumerate(changes):
        _column(found[name], at)[row] = value
    return found


def _tolerated(
    sample: Feeds,
    values_of: Callable[[Array], Sequence[Any]],
    run: Run,
    without: Collection[str] = (),
) -> list[Place]:
    """Return the places in which the model accepts such values.

    All places are tried at once; if the model fails, each half is tried separately.
    """
    places = [
        (name, at)
        for name, array in sample.items()
        for at in range(array.shape[1] if array.ndim == 2 else 1)
        if name not in without and values_of(array)
    ]
    if len(places) > MOST:
        places = [places[at] for at in np.linspace(0, len(places) - 1, MOST).astype(int)]
    waiting, found = [places] if places else [], []
    while waiting:
        some = waiting.pop(0)
        if takes(_one_at_a_time(sample, some, values_of), run):
            found += some
        elif len(some) > 1:
            waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
    return [place for place in places if place in set(found)]


def takes(feeds: Feeds, run: Run) -> bool:
    """Return whether the model accepts these inputs."""
    try:
        run(feeds)
    except Exception:  # noqa: BLE001 - an estimator can refuse in any way
        return False
    return True


def _rows(sample: Feeds, index: Array) -> dict[str, Array]:
    return {name: array[index % len(array)] for name, array in sample.items()}


def _column(array: Array, at: int) -> Array:
    return array[:, at] if array.ndim == 2 else array


def _missing(array: Array) -> Sequence[Any]:
    if array.dtype.kind == "f":
        return [np.nan]
    return [""] if array.dtype.kind == "O" else []


def _unseen(array: Array) -> Sequence[Any]:
    if array.dtype.kind == "O":
        return [UNSEEN]
    if array.dtype.kind not in "iu":
        return []
    bounds = np.iinfo(array.dtype)
    return [max(int(array.min()) - 1, bounds.min), min(int(array.max()) + 1, bounds.max)]
