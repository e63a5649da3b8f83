"""Inputs with NaN and infinities among the numbers of the sample."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from onnxpack.signature import Array

SCATTERED = "NaN among the numbers"
ALONE = "one NaN a row"
INFINITE = "infinities among the numbers"
NONFINITE = frozenset({SCATTERED, ALONE, INFINITE})
SHARE = 0.2
"""Of the numbers, so many are replaced."""


def nonfinite_values(sample: Mapping[str, Array]) -> Iterator[tuple[str, Mapping[str, Array]]]:
    """NaN at random places, at one place of each row, and infinities of both signs.

    Operators that lose NaN do so by where it stands: onnxruntime's ``ReduceMax`` keeps NaN at the
    first place, and skips it elsewhere.
    """
    if not any(array.dtype.kind == "f" and array.size for array in sample.values()):
        return
    for name, change in ((SCATTERED, _scattered), (ALONE, _alone), (INFINITE, _infinite)):
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


def _alone(random: np.random.Generator, array: Array) -> Array:
    """In each row, the last axis, at one place after its first."""
    changed = np.atleast_1d(array.copy())
    rows = changed.reshape(-1, changed.shape[-1])
    places = random.integers(min(1, rows.shape[1] - 1), rows.shape[1], len(rows))
    rows[np.arange(len(rows)), places] = np.nan
    return rows.reshape(array.shape)


def _infinite(random: np.random.Generator, array: Array) -> Array:
    signed = np.copysign(np.inf, random.normal(size=array.shape))
    return np.where(random.random(array.shape) < SHARE, signed, array).astype(array.dtype)
