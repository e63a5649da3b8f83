"""Make the sample extreme: negated, scaled, or with one value far from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from onnxpack.signature import Array

NEAR = {"negated": -1.0, "×30": 30.0, "×0.03": 0.03}
FAR = {"×1e4": 1e4, "×1e-5": 1e-5}
OTHER_SIDE = "×-30"
OUTLIER = 1e4
BOX_NUMBERS = 5
"""Columns of a box of ``roi_align``: the number of its picture, then four corners."""
PICTURES = 4
"""Axes of pictures: batch, channels, height, width."""

Feeds = Mapping[str, Array]


def near_stress(sample: Feeds) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yield the sample negated, and scaled to sizes that real inputs may have."""
    yield from ((name, scaled(sample, factor)) for name, factor in NEAR.items())
    if _is_one_sided(sample):
        # If it is only negated, a sample of shares or pixels reaches no further than -1.
        yield OTHER_SIDE, scaled(sample, -NEAR["×30"])


def far_stress(sample: Feeds, *, all_kinds: bool) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yield the sample at extreme scales and, with ``all_kinds``, with one outlier."""
    yield from ((name, scaled(sample, factor)) for name, factor in FAR.items())
    if all_kinds:
        yield "one outlier", changed(sample, _with_outlier)


def scaled(feeds: Feeds, factor: float) -> dict[str, Array]:
    """Return the inputs with every float multiplied by ``factor``; overflow gives infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        return changed(feeds, lambda array: (array * factor).astype(array.dtype))


def hold_boxes(sample: Feeds) -> frozenset[str]:
    """Return the names of inputs that hold boxes of ``roi_align``, if an input holds pictures."""
    if not any(array.ndim == PICTURES for array in sample.values()):
        return frozenset()
    return frozenset(name for name, array in sample.items() if _is_boxes(array))


def with_picture_numbers(feeds: Feeds, numbered: Feeds, boxes: Iterable[str]) -> dict[str, Array]:
    """Return the inputs with each box's picture number replaced by one that exists.

    torchvision's kernels (0.29) do not check that the picture of a box's number exists: any other
    number reads foreign memory, or ends the process.

    Args:
        numbered: inputs of the same sizes, from which the picture numbers are taken.
        boxes: the inputs that hold boxes.
    """
    found = dict(feeds)
    for name in boxes:
        pictures = min(len(array) for array in feeds.values() if array.ndim == PICTURES)
        found[name] = found[name].copy()
        found[name][:, 0] = numbered[name][:, 0] % pictures
    return found


def _is_one_sided(feeds: Feeds) -> bool:
    """Return whether the floats of the inputs have one sign, and are not all 0."""
    floats = [array for array in feeds.values() if array.dtype.kind == "f" and array.size]
    least = min((float(array.min()) for array in floats), default=0.0)
    most = max((float(array.max()) for array in floats), default=0.0)
    return (least >= 0 or most <= 0) and least != most


def _is_boxes(array: Array) -> bool:
    if array.dtype.kind != "f" or array.ndim != 2 or array.shape[1] != BOX_NUMBERS:
        return False
    numbers = array[:, 0]
    return bool((numbers == np.round(numbers)).all() and (numbers >= 0).all())


def changed(feeds: Feeds, change: Callable[[Array], Array]) -> dict[str, Array]:
    """Return the inputs with ``change`` applied to every floating-point one, except boxes.

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
