"""Inputs at which a graph of a PyTorch model may go wrong, chosen by the functions it calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import chain, islice

import numpy as np

from onnxpack.exporters.torch.watch.missing import (
    POOLS_REGIONS,
    REACHES_INFINITY,
    RECKONS,
    UNORDERED,
    with_missing,
)
from onnxpack.parity.cases import BUDGET, cost
from onnxpack.parity.masks import masked_rows
from onnxpack.parity.ties import equal_values, infinities, round_values, signed_integers
from onnxpack.signature import Array

ALL_ZERO = 2
"""So many cases of round numbers are asked of a costly model: zeros among others, and zeros alone.
A black picture, or silence, makes 0 / 0 of what normalises its input."""
ALIKE = 2
"""Integers of so few values are drawn from these alone in the usual cases."""

Edges = Iterator[tuple[str, Mapping[str, Array]]]


def edges(sample: Mapping[str, Array], called: AbstractSet[str], weights: int) -> Edges:
    """Integers of every kind, masks, round numbers; NaN and infinity where the model asks of them.

    Args:
        called: the functions of PyTorch that the model calls.
        weights: how many the model has; a costly one is asked of zeros only.
    """
    yield from smaller_integers(sample)
    yield from signed_integers(sample)
    yield from masked_rows(sample)
    costly = cost(sample, {}, {}, weights) > BUDGET // 16
    # PyTorch promises no order among equal values, so its answer to ties proves nothing.
    if not called & UNORDERED:
        rounded = chain(round_values(sample), equal_values(sample))
        yield from islice(rounded, ALL_ZERO if costly else None)
    if called & POOLS_REGIONS:
        return
    if called & RECKONS:
        yield "missing values", with_missing(sample)
    if called & REACHES_INFINITY:
        yield from infinities(sample)


def smaller_integers(sample: Mapping[str, Array]) -> Edges:
    """Smaller integers, where the sample's are all alike: full lengths hide what is cut."""
    lower = {name: _lowered(array) for name, array in sample.items()}
    if any(lower[name] is not array for name, array in sample.items()):
        yield "smaller integers", lower


def _lowered(array: Array) -> Array:
    if array.dtype.kind not in "iu" or array.size == 0 or len(np.unique(array)) > ALIKE:
        return array
    low, high = min(1, int(array.min())), int(array.max())
    if not 0 <= low < high:
        return array
    random = np.random.default_rng(0)
    return random.integers(low, high, array.shape, array.dtype, endpoint=True)
