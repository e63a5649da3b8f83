"""The sample made extreme: negated, scaled, with one value far from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from onnxpack.signature import Array

NEAR = {"negated": -1.0, "×30": 30.0, "×0.03": 0.03}
FAR = {"×1e4": 1e4, "×1e-5": 1e-5}
OUTLIER = 1e4
BOX_NUMBERS = 5
"""A row of ``roi_align``: the number of its picture, then four corners."""
PICTURES = 4
"""Axes of pictures: batch, channels, height, width."""

Feeds = Mapping[str, Array]


def near_stress(sample: Feeds) -> Iterator[tuple[str, dict[str, Array]]]:
    """The sample negated and scaled to sizes that may well be met."""
    yield from ((name, scaled(sample, factor)) for name, factor in NEAR.items())


def far_stress(sample: Feeds, *, all_kinds: bool) -> Iterator[tuple[str, dict[str, Array]]]:
    """The sample far from its own size; and, of all kinds, with one value far from the others."""
    yield from ((name, scaled(sample, factor)) for name, factor in FAR.items())
    if all_kinds:
        yield "one outlier", changed(sample, _with_outlier)


def scaled(feeds: Feeds, factor: float) -> dict[str, Array]:
    """The inputs with every floating-point one multiplied; what is too large becomes infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return changed(feeds, lambda array: (array * factor).astype(array.dtype))


def hold_boxes(sample: Feeds) -> frozenset[str]:
    """The inputs that hold boxes of ``roi_align``, beside an input of pictures."""
    if not any(array.ndim == PICTURES for array in sample.values()):
        return frozenset()
    return frozenset(name for name, array in sample.items() if _is_boxes(array))


def with_picture_numbers(feeds: Feeds, numbered: Feeds, boxes: Iterable[str]) -> dict[str, Array]:
    """The inputs with every box in a picture that there is.

    torchvision's kernels (0.29) read the picture of a box's number without looking whether it is
    there: any other number reads foreign memory, or ends the process.

    Args:
        numbered: inputs of the same sizes, of which the numbers are taken.
        boxes: the inputs that hold boxes.
    """
    found = dict(feeds)
    for name in boxes:
        pictures = min(len(array) for array in feeds.values() if array.ndim == PICTURES)
        found[name] = found[name].copy()
        found[name][:, 0] = numbered[name][:, 0] % pictures
    return found


def _is_boxes(array: Array) -> bool:
    if array.dtype.kind != "f" or array.ndim != 2 or array.shape[1] != BOX_NUMBERS:
        return False
    numbers = array[:, 0]
    return bool((numbers == np.round(numbers)).all() and (numbers >= 0).all())


def changed(feeds: Feeds, change: Callable[[Array], Array]) -> dict[str, Array]:
    """The inputs with every floating-point one changed, but for boxes.

    ``roi_align`` takes a sample for each pixel of a box: for a box 10,000 times as large it would
    take hours.
    """
    boxes = hold_boxes(feeds)
    return {
        name: change(array)
        if array.dtype.kind in "fc" and array.size and name not in boxes
        else array
        for name, array in feeds.items()
    }


def _with_outlier(array: Array) -> Array:
    found = array.copy()
    size = float(np.abs(array).max(initial=1.0, where=np.isfinite(array)))
    with np.errstate(over="ignore"):
        found.flat[array.size // 2] = np.asarray(size * OUTLIER).astype(array.dtype)
    return found
