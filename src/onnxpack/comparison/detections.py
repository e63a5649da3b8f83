"""Pair the rows of outputs whose row order has no meaning, such as the boxes of a detector.

A detector answers with ``boxes`` ``[n, 4]``, ``scores`` ``[n]`` and, mostly, ``labels`` ``[n]``.
Two correct implementations put near-equal scores in different orders, so the rows are paired before
anything is compared.

Output names are not enough: a tracker also answers with boxes and scores, and there the first row
is the first track. So outputs are treated as a set only if the exporter recognises the model as a
detector, or the user says so. The manifest records it.
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
"""Largest number of rows that are paired: memory grows with its square. Larger outputs are compared
in their given order."""
MAX_FEATURES = 64
"""Outputs with more numbers than this in a row, such as masks, are not used for pairing."""
UNLIKE = 1e6
"""Distance of two rows whose integers, such as labels, differ. Such rows are paired last."""

Sets: TypeAlias = tuple[tuple[str, ...], ...]
"""Groups of output names; the outputs of a group share their first axis, and rows have no order."""


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
        unordered: groups of outputs whose rows have no order.
        noise: rounding noise, by output name, that is allowed in addition to the tolerance.

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
    """Return ``actual`` with the rows of each unordered group in the order of ``expected``.

    Each row is used exactly once, so duplicate and missing rows are still detected.
    """
    paired = dict(actual)
    for members in unordered:
        if _can_be_paired(members, expected, actual):
            order = _pairing(members, expected, actual)
            paired |= {name: actual[name][order] for name in members}
    return paired


def sets_of_a_detector(outputs: Mapping[str, Array]) -> Iterator[tuple[str, ...]]:
    """Yield the names of the outputs of each picture of a detector.

    The outputs of a picture share a prefix: ``boxes``, ``scores`` and all others with as many rows.

    Args:
        outputs: the answer of a model that is known to be a detector.
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
    """Return the groups that a user names; a plain sequence of names is one group."""
    if isinstance(unordered, str):
        return ((unordered,),)
    names = tuple(each for each in unordered if isinstance(each, str))
    groups = tuple(tuple(each) for each in unordered if not isinstance(each, str))
    return (names, *groups) if names else groups


def check_sets(unordered: Sets, outputs: Collection[str]) -> None:
    """Check that the groups contain only output names, each at most once.

    Raises:
        UsageError: a name is not an output's, or appears twice.
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
    """Return whether all outputs have the same number of rows, so that they can be paired."""
    if any(name not in expected for name in members):
        return False
    if any(expected[name].shape != actual[name].shape for name in members):
        return False
    rows = {expected[name].shape[:1] for name in members}
    return len(rows) == 1 and all(0 < size <= MAX_DETECTIONS for size in next(iter(rows), (0,)))


def _pairing(
    members: Sequence[str], expected: Mapping[str, Array], actual: Mapping[str, Array]
) -> Array:
    """Return the index of the nearest actual row for each expected row.

    Each actual row is used once; the pairs with the smallest distance are made first.
    """
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
    """Return the distance of each expected row from each actual row.

    It is computed feature by feature to save memory.
    """
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
