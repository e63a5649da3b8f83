"""Measure how much of another graph's answers a graph keeps: a score from 0 to 1 for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from onnxpack.comparison.detections import pair
from onnxpack.errors import OptimizeError
from onnxpack.optimizer.answers import Answers
from onnxpack.signature import Array

WITHIN = 0.01
"""The relative error that a number may have."""
CONFIDENT = 0.5
"""The score from which a box counts: detectors also return hundreds of boxes that nobody reads."""
OVERLAP = 0.5
"""The intersection over union from which two boxes are the same, as in PASCAL VOC."""
_BLOCK = 256
"""Rows whose distances to all others are held in memory at a time."""
_AS_NEAR = 1e-6
"""Tolerance of a cosine: neighbours that are equally near are equally right."""


def agreement(reference: Array, candidate: Array) -> Array:
    """Return for each row 1 if the labels are the same, else 0.

    The label is the largest element along the last axis of floats; integers, booleans and text are
    labels themselves. A row with several labels scores the share that is the same.
    """
    if reference.dtype.kind in "fc":
        # argmax takes NaN for the largest element.
        broken = ~np.isfinite(candidate).all(axis=-1) & np.isfinite(reference).all(axis=-1)
        same = (reference.argmax(axis=-1) == candidate.argmax(axis=-1)) & ~broken
    else:
        same = np.asarray(reference == candidate)
    each: Array = np.asarray(same, np.float64).reshape(len(reference), -1)
    return np.asarray(each.mean(axis=1))


def neighbour(reference: Array, candidate: Array) -> Array:
    """Return for each row 1 if its nearest other row, by cosine, is the same or as near, else 0.

    Embeddings of tokens ``[n, tokens, d]`` are averaged over the tokens.
    """
    wanted, found = _directions(reference), _directions(candidate)
    scores = np.zeros(len(wanted))
    for start in range(0, len(wanted), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(wanted)))
        near, near_found = wanted[rows] @ wanted.T, found[rows] @ found.T
        near[np.arange(len(rows)), rows] = near_found[np.arange(len(rows)), rows] = -np.inf
        chosen = near[np.arange(len(rows)), near_found.argmax(axis=1)]
        scores[rows] = chosen >= near.max(axis=1) - _AS_NEAR
    return np.where(np.isfinite(found).all(axis=1), scores, 0.0)


def cosine(reference: Array, candidate: Array) -> float:
    """Return the mean cosine between the rows of two embeddings."""
    return float((_directions(reference) * _directions(candidate)).sum(axis=1).mean())


def relative_error(reference: Array, candidate: Array) -> Array:
    """Return each row's error, relative to the row's norm or the usual norm, whichever is larger.

    The usual norm is the root mean square over all rows. So a value near 0 is judged by the size of
    other rows, not by its own.
    """
    wanted, found = _flat(reference), _flat(candidate)
    finite = np.isfinite(wanted)
    same = finite | (wanted == found) | (np.isnan(wanted) & np.isnan(found))
    with np.errstate(all="ignore"):
        gap = np.where(finite, found - wanted, np.where(same, 0.0, np.inf))
        length = np.linalg.norm(np.where(finite, wanted, 0.0), axis=1)
        size = np.maximum(length, np.sqrt(np.mean(length**2)))
        off = np.linalg.norm(gap, axis=1)
        error = np.divide(off, size, out=np.where(off > 0, np.inf, 0.0), where=size > 0)
    return np.asarray(np.nan_to_num(error, nan=np.inf, posinf=np.inf))


def within(reference: Array, candidate: Array, bound: float = WITHIN) -> Array:
    """Return for each row 1 if its relative error is at most ``bound``, else 0."""
    return np.asarray(relative_error(reference, candidate) <= bound, np.float64)


def rms_error(reference: Array, candidate: Array) -> float:
    """Return the root mean square of the difference, relative to that of the reference."""
    wanted, found = _flat(reference), _flat(candidate)
    finite = np.isfinite(wanted)
    with np.errstate(all="ignore"):
        gap = float(np.linalg.norm(found[finite] - wanted[finite]))
    size = float(np.linalg.norm(wanted[finite]))
    if not gap:
        return 0.0
    return gap / size if size and np.isfinite(gap) else float("inf")


def boxes(reference: Answers, candidate: Answers, members: Sequence[str]) -> Array:
    """Return for each row the share of confident boxes that both graphs give with the same label.

    Boxes count from a score of 0.5, and are the same from an intersection over union of 0.5. The
    share is of the larger number of boxes, so an extra box costs as much as a missing one.
    """
    by_end = {name.rpartition("_")[2].rpartition(".")[2]: name for name in members}
    kinds: tuple[str, ...] = ("boxes", "scores", "labels")
    named = {kind: by_end[kind] for kind in kinds if kind in by_end}
    if not {"boxes", "scores"} <= named.keys():
        raise OptimizeError(
            f"the outputs {', '.join(members)} are not boxes: expected names that end in "
            "'boxes' and 'scores'."
        )
    count = len(reference[named["boxes"]])
    return np.array(
        [_same_boxes(*(_row(side, named, row) for side in (reference, candidate)))
         for row in range(count)]
    )  # fmt: skip


def _row(answers: Answers, named: Mapping[str, str], row: int) -> dict[str, Array]:
    """Return the confident boxes of one row."""
    parts = {kind: np.asarray(answers[name][row]) for kind, name in named.items()}
    counts = parts["scores"].reshape(-1) >= CONFIDENT
    return {
        kind: part[counts] if part.ndim > 1 else part[counts, np.newaxis]
        for kind, part in parts.items()
    }


def _same_boxes(reference: dict[str, Array], candidate: dict[str, Array]) -> float:
    size = max(len(reference["scores"]), len(candidate["scores"]))
    if not size:
        return 1.0
    wanted, found = (_padded(side, size) for side in (reference, candidate))
    paired = pair(wanted, found, (tuple(wanted),))
    same = overlap(wanted["boxes"], paired["boxes"]) >= OVERLAP
    if "labels" in wanted:
        same &= (wanted["labels"] == paired["labels"]).all(axis=1)
    return float(same.mean())


def _padded(side: dict[str, Array], size: int) -> dict[str, Array]:
    """Fill up to ``size`` rows with zeros: a box that is a point overlaps with nothing."""
    return {
        kind: np.concatenate([part, np.zeros((size - len(part), part.shape[1]), part.dtype)])
        for kind, part in side.items()
    }


def overlap(one: Array, other: Array) -> Array:
    """Return the intersection over union of boxes, pair by pair; corners are x1, y1, x2, y2."""
    one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    inside = np.clip(high - low, 0.0, None).prod(axis=1)
    total = sum(np.clip(each[:, 2:] - each[:, :2], 0, None).prod(axis=1) for each in (one, other))
    union = total - inside
    return np.asarray(np.divide(inside, union, out=np.zeros_like(inside), where=union > 0))


def _flat(array: Array) -> Array:
    wide = np.complex128 if array.dtype.kind == "c" else np.float64
    return np.asarray(array, wide).reshape(len(array), -1)


def _directions(array: Array) -> Array:
    """Return rows scaled to length 1; a row of zeros stays zeros."""
    flat = np.asarray(array, np.float64)
    if flat.ndim > 2:
        flat = flat.reshape(len(flat), -1, flat.shape[-1]).mean(axis=1)
    flat = flat.reshape(len(flat), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(np.divide(flat, length, out=np.zeros_like(flat), where=length > 0))
