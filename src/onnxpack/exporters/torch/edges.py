"""Choose inputs at which a graph of a PyTorch model may go wrong, by the functions it calls."""

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
"""Number of cases of round numbers for a costly model: zeros among others, and only zeros. A black
picture, or silence, causes 0 / 0 where the input is normalised."""
ALIKE = 2
"""Integers with at most this many distinct values are drawn only from these in the usual cases."""

Edges = Iterator[tuple[str, Mapping[str, Array]]]


def edges(sample: Mapping[str, Array], called: AbstractSet[str], weights: int) -> Edges:
    """Yield integers, masks, round numbers, and NaN and infinities if the model handles them.

    Args:
        called: the functions of PyTorch that the model calls.
        weights: the number of the model's weights; a costly model gets only zeros.
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
    """Yield smaller integers if the sample's are all alike: full lengths hide what is cut."""
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
