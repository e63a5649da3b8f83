"""Outputs whose rows are a set: their order means nothing.

A detector answers with ``boxes`` ``[n, 4]``, ``scores`` ``[n]`` and, mostly, ``labels`` ``[n]``.
Two right implementations put near-equal scores in different orders, so the rows are paired before
anything is compared.

Names prove nothing: a tracker also answers with boxes and scores, and there the first row is the
first track. So outputs are a set only if the exporter knows the model for a detector, or the user
says so; the manifest records it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from onnxpack.comparison.elements import Noise
from onnxpack.comparison.scale import largest
from onnxpack.comparison.tolerance import OutputEvidence, Tolerance, compare
from onnxpack.errors import UsageError
from onnxpack.signature import Array

MAX_DETECTIONS = 4096
"""Pairing takes memory by the square; more rows than this are compared in their own order."""
MAX_FEATURES = 64
"""Rows are paired by outputs of at most this many numbers a row: not by the pixels of masks."""
UNLIKE = 1e6
"""The distance of rows whose integers differ, such as their labels: paired only if all are."""

Sets: TypeAlias = tuple[tuple[str, ...], ...]
"""Groups of outputs with one first axis, whose rows together have no order."""


def compare_all(
    expected: Mapping[str, Array],
    actual: Mapping[str, Array],
    tolerance: Tolerance,
    *,
    unordered: Sets = (),
    noise: Mapping[str, Noise] | None = None,
) -> tuple[OutputEvidence, ...]:
    """Compare every output of one run.

    Args:
        unordered: groups of outputs whose rows are a set.
        noise: for an output by name, what may be allowed besides the tolerance.

    Raises:
        KeyError: ``actual`` lacks an output of ``expected``.
    """
    paired = pair(expected, actual, unordered)
    return tuple(
        compare(name, wanted, paired[name], tolerance, noise=(noise or {}).get(name))
        for name, wanted in expected.items()
    )


def pair(
    expected: Mapping[str, Array], actual: Mapping[str, Array], unordered: Sets
) -> dict[str, Array]:
    """``actual`` with the rows of each set in the order of ``expected``.

    Each row is used exactly once, so rows that are there twice, or not at all, are still found.
    """
    paired = dict(actual)
    for members in unordered:
        if _can_be_paired(members, expected, actual):
            order = _pairing(members, expected, actual)
            paired |= {name: actual[name][order] for name in members}
    return paired


def sets_of_a_detector(outputs: Mapping[str, Array]) -> Iterator[tuple[str, ...]]:
    """The outputs of each picture: under one prefix ``boxes``, ``scores`` and what has their rows.

    Args:
        outputs: the answer of a model that is known for a detector.
    """
    for name, boxes in outputs.items():
        prefix, _, last = name.rpartition("boxes")
        scores = outputs.get(f"{prefix}scores")
        if last or not name.endswith("boxes") or scores is None:
            continue
        if boxes.ndim == 2 and boxes.shape[1] == 4 and scores.shape == boxes.shape[:1]:
            yield tuple(
                other
                for other, array in outputs.items()
                if other.startswith(prefix) and array.shape[:1] == boxes.shape[:1]
            )


def as_sets(unordered: Sequence[str] | Sequence[Sequence[str]]) -> Sets:
    """The groups that a user names: a sequence of names is one group."""
    if isinstance(unordered, str):
        return ((unordered,),)
    names = tuple(each for each in unordered if isinstance(each, str))
    groups = tuple(tuple(each) for each in unordered if not isinstance(each, str))
    return (names, *groups) if names else groups


def check_sets(unordered: Sets, outputs: Collection[str]) -> None:
    """Check that groups name outputs, each once.

    Raises:
        UsageError: a name is not that of an output, or stands twice.
    """
    names = [name for members in unordered for name in members]
    for name in names:
        if name not in outputs:
            raise UsageError(
                f"unordered names {name!r}, which is not an output; the outputs are: "
                f"{', '.join(outputs)}."
            )
        if names.count(name) > 1:
            raise UsageError(f"unordered names the output {name!r} twice.")


def _can_be_paired(
    members: Sequence[str], expected: Mapping[str, Array], actual: Mapping[str, Array]
) -> bool:
    """Whether the outputs have rows, as many in each; others are compared as they are."""
    if any(name not in expected for name in members):
        return False
    if any(expected[name].shape != actual[name].shape for name in members):
        return False
    rows = {expected[name].shape[:1] for name in members}
    return len(rows) == 1 and all(0 < size <= MAX_DETECTIONS for size in next(iter(rows), (0,)))


def _pairing(
    members: Sequence[str], expected: Mapping[str, Array], actual: Mapping[str, Array]
) -> Array:
    """For each expected row the actual row that is nearest, each used once, best pairs first."""
    count = len(expected[members[0]])
    cost = np.zeros((count, count))
    for name in members:
        if expected[name].size <= count * MAX_FEATURES:
            cost = cost + _distance(expected[name], actual[name])
    order = np.full(count, -1)
    used = np.zeros(count, dtype=bool)
    ranked = np.unravel_index(np.argsort(cost, axis=None, kind="stable"), cost.shape)
    for row, column in zip(*ranked, strict=True):
        if order[row] < 0 and not used[column]:
            order[row], used[column] = column, True
    return order


def _distance(expected: Array, actual: Array) -> Array:
    """How far each expected row is from each actual one, feature by feature to save memory."""
    rows = len(expected)
    wanted, found = expected.reshape(rows, -1), actual.reshape(rows, -1)
    exact = expected.dtype.kind not in "fc"
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    size = 1.0 if exact else largest(expected) or 1.0
    distance = np.zeros((rows, rows))
    for one, other in zip(wanted.T, found.T, strict=True):
        if exact:
            gap = np.where(one[:, None] == other[None], 0.0, UNLIKE)
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                gap = np.abs(one[:, None].astype(wide) - other[None]) / size
        distance = np.maximum(distance, np.nan_to_num(gap, nan=1e9, posinf=1e9))
    return distance
