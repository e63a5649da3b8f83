"""Compute probabilities from a classifier's output: its own, or the softmax of its logits."""

from __future__ import annotations

import numpy as np

from onnxpack.signature import Array

SUM_TOLERANCE = 1e-3


def to_probabilities(scores: Array) -> tuple[Array, bool]:
    """Return each row's probabilities in float64, and whether they are the softmax of ``scores``.

    Args:
        scores: numbers of the form [batch, classes]. No pack states what they are: rows without a
            negative number that each sum to 1 are taken as probabilities.
    """
    rows = scores.astype(np.float64)
    if _are_probabilities(rows):
        return rows, False
    with np.errstate(invalid="ignore"):  # an infinite score turns its row into NaN
        powers = np.exp(rows - rows.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True)), True


def _are_probabilities(rows: Array) -> bool:
    sums = rows.sum(axis=1)
    return bool((rows >= 0).all() and (np.abs(sums - 1) <= SUM_TOLERANCE).all())
