"""Make inputs that mix NaN and infinities with the numbers of the sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np

from onnxpack.signature import Array

SCATTERED = "NaN among the numbers"
ALONE = "one NaN a row"
INFINITE = "infinities among the numbers"
HIGHEST = "one infinity a row"
LOWEST = "one negative infinity a row"
INFINITIES = frozenset({INFINITE, HIGHEST, LOWEST})
NONFINITE = frozenset({SCATTERED, ALONE}) | INFINITIES
SHARE = 0.2
"""Share of the numbers that are replaced."""


def nonfinite_values(sample: Mapping[str, Array]) -> Iterator[tuple[str, Mapping[str, Array]]]:
    """Yield inputs with NaN and infinities at random places, and at one place of each row.

    Whether an operator loses NaN can depend on its place: ONNX Runtime's ``ReduceMax`` keeps NaN at
    the first place, and skips it elsewhere. Each sign of infinity is tried in every row, since the
    answer of an activation such as ``gelu`` depends on the sign that a layer has made of it. One
    row holds nothing but minus infinity, as a mask leaves it.
    """
    if not any(array.dtype.kind == "f" and array.size for array in sample.values()):
        return
    changes: Mapping[str, Callable[[np.random.Generator, Array], Array]] = {
        SCATTERED: _scattered,
        ALONE: partial(_alone, np.nan),
        INFINITE: _infinite,
        HIGHEST: partial(_alone, np.inf),
        LOWEST: partial(_alone, -np.inf),
    }
    for name, change in changes.items():
        random = np.random.default_rng(len(name))
        yield (
            name,
            {
                key: change(random, array) if array.dtype.kind == "f" and array.size else array
                for key, array in sample.items()
            },
        )


def _scattered(random: np.random.Generator, array: Array) -> Array:
    changed = np.where(random.random(array.shape) < SHARE, np.nan, array)
    if changed.ndim and len(changed) > 1:
        changed[-1] = np.nan
    return changed.astype(array.dtype)


def _alone(value: float, random: np.random.Generator, array: Array) -> Array:
    """Put a value at one random place in each row, after the first place if the row is longer."""
    changed = np.atleast_1d(array.copy())
    rows = changed.reshape(-1, changed.shape[-1])
    places = random.integers(min(1, rows.shape[1] - 1), rows.shape[1], len(rows))
    rows[np.arange(len(rows)), places] = value
    return rows.reshape(array.shape)


def _infinite(random: np.random.Generator, array: Array) -> Array:
    signed = np.copysign(np.inf, random.normal(size=array.shape))
    changed = np.where(random.random(array.shape) < SHARE, signed, array).astype(array.dtype)
    if changed.ndim and len(changed) > 1:
        changed[-1] = -np.inf
    return changed
