"""Find axes that a pack fixes although the model itself accepts other sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from onnxpack.parity.cases import Axes
from onnxpack.parity.subject import Subject
from onnxpack.signature import Array

RANK = 3
"""The rank of a series. Tokens have 2, and pictures, which are resized to the input's size, 4."""


def doubts_of_fixed_axes(subject: Subject, axes: Axes) -> Iterator[str]:
    """Yield a note for each axis that nobody named and that the model takes longer by one.

    Such a model answers users in the framework, and its pack would refuse them.
    """
    for axis in range(1, RANK):
        fixed = _fixed(subject.sample, axes, axis)
        if fixed and _takes(subject, fixed, axis):
            size = subject.sample[fixed[0]].shape[axis]
            dim = _name(subject.sample[fixed[0]], axis)
            shell = ",".join(f"{name}:{axis}={dim}" for name in fixed)
            python = ", ".join(f'"{name}": {{{axis}: "{dim}"}}' for name in fixed)
            yield (
                f"axis {axis} of {', '.join(fixed)} is fixed at {size}; to let it vary: "
                f"--dynamic {shell}, or dynamic={{{python}}}"
            )


def _fixed(sample: Mapping[str, Array], axes: Axes, axis: int) -> list[str]:
    """Return the inputs with this axis that have the size of the first one, if none is named."""
    having = {name: array for name, array in sample.items() if axis < array.ndim}
    if any(axis in axes.get(name, {}) for name in having):
        return []
    series = {name: each.shape[axis] for name, each in having.items() if _is_series(each)}
    size = next(iter(series.values()), 1)
    return [name for name, found in series.items() if found == size] if size > 1 else []


def _is_series(array: Array) -> bool:
    return array.ndim == RANK or (array.ndim == RANK - 1 and array.dtype.kind in "iu")


def _takes(subject: Subject, inputs: list[str], axis: int) -> bool:
    """Return whether the model answers if these inputs repeat their last element of the axis."""
    feeds = dict(subject.sample)
    for name in inputs:
        last = np.take(feeds[name], [-1], axis=axis)
        feeds[name] = np.concatenate([feeds[name], last], axis=axis)
    try:
        subject.run(feeds)
    except Exception:  # noqa: BLE001 - the model's own refusal, of whatever type
        return False
    return True


def _name(array: Array, axis: int) -> str:
    if array.dtype.kind in "iu":
        return "tokens"
    return "time" if axis == 1 else "length"
