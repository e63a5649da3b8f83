"""Outputs of detectors are sets: the order of equal scores means nothing.

A detector answers with ``boxes`` ``[n, 4]``, ``scores`` ``[n]`` and, mostly, ``labels`` ``[n]``
and more with the same first axis. Two right implementations put near-equal scores in different
orders, so the rows are paired before anything is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from onnxpack.comparison.tolerance import OutputEvidence, Tolerance, compare, scale
from onnxpack.signature import Array

MAX_DETECTIONS = 4096
"""Pairing takes memory by the square; more rows than this are compared in their own order."""


def compare_all(
    expected: Mapping[str, Array],
    actual: Mapping[str, Array],
    tolerance: Tolerance,
    noise: Mapping[str, float] | None = None,
) -> tuple[OutputEvidence, ...]:
    """Compare every output of one run, detections as sets.

    Args:
        noise: for an output by name, an absolute difference to allow besides the tolerance.

    Raises:
        KeyError: ``actual`` lacks an output of ``expected``.
    """
    paired = pair(expected, actual)
    return tuple(
        compare(name, wanted, paired[name], tolerance, noise=(noise or {}).get(name, 0.0))
        for name, wanted in expected.items()
    )


def pair(expected: Mapping[str, Array], actual: Mapping[str, Array]) -> dict[str, Array]:
    """``actual`` with the rows of each group of detections in the order of ``expected``."""
    paired = dict(actual)
    for prefix, members in detection_groups(expected):
        if all(expected[name].shape == actual[name].shape for name in members):
            order = _pairing(prefix, expected, actual)
            paired |= {name: actual[name][order] for name in members}
    return paired


def detection_groups(outputs: Mapping[str, Array]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each prefix under which ``boxes`` and ``scores`` stand, with the outputs of its rows."""
    for name, boxes in outputs.items():
        prefix, _, last = name.rpartition("boxes")
        scores = outputs.get(f"{prefix}scores")
        if last or not name.endswith("boxes") or scores is None:
            continue
        shaped = boxes.ndim == 2 and boxes.shape[1] == 4 and scores.shape == boxes.shape[:1]
        if shaped and len(boxes) <= MAX_DETECTIONS:
            yield (
                prefix,
                tuple(
                    other
                    for other, array in outputs.items()
                    if other.startswith(prefix) and array.shape[:1] == boxes.shape[:1]
                ),
            )


def _pairing(prefix: str, expected: Mapping[str, Array], actual: Mapping[str, Array]) -> Array:
    """For each expected row the actual row that is nearest, each used once, best pairs first."""
    boxes, scores, labels = f"{prefix}boxes", f"{prefix}scores", f"{prefix}labels"
    count = len(expected[boxes])
    cost = _distance(expected[boxes], actual[boxes]) + _distance(
        expected[scores][:, None], actual[scores][:, None]
    )
    if labels in expected:
        cost = cost + np.where(expected[labels][:, None] == actual[labels][None], 0.0, 1e6)
    order = np.full(count, -1)
    used = np.zeros(count, dtype=bool)
    for row, column in zip(*np.unravel_index(np.argsort(cost, axis=None), cost.shape), strict=True):
        if order[row] < 0 and not used[column]:
            order[row], used[column] = column, True
    return order


def _distance(expected: Array, actual: Array) -> Array:
    size = scale(expected) or 1.0
    difference = np.abs(expected[:, None].astype(np.float64) - actual[None])
    nearest: Array = difference.max(axis=-1, initial=0.0) / size
    return np.nan_to_num(nearest, nan=1e9, posinf=1e9)
