"""Keep inputs that are offsets into another input what they are: ascending from 0."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from onnxpack.signature import Array

OFFSETS = "offsets"
"""Part of the names of such inputs: PyTorch's ``EmbeddingBag`` calls its argument so."""


def with_offsets(feeds: Mapping[str, Array], sample: Mapping[str, Array]) -> dict[str, Array]:
    """Return the inputs with offsets made valid where the sample's are.

    Offsets ascend from 0 to at most the number of ids; if the sample's last one is that number, so
    is each last one. Others are refused by the model, or read foreign memory.
    """
    found = dict(feeds)
    for name, like in sample.items():
        if is_offsets(name, like) and found[name].size:
            count = _ids_beside(name, feeds) or int(like[-1])
            found[name] = np.sort(found[name] % (count + 1))
            found[name][0] = 0
            if like.size > 1 and like[-1] == _ids_beside(name, sample):
                found[name][1:][-1:] = count
    return found


def _ids_beside(name: str, feeds: Mapping[str, Array]) -> int:
    """Return the number of ids that the offsets of this name point into; 0 if none is known."""
    others = (array.size for other, array in feeds.items() if other != name and _is_ids(array))
    return min(others, default=0)


def is_offsets(name: str, array: Array) -> bool:
    """Return whether an input of a sample holds offsets, by its name and its values."""
    return bool(
        OFFSETS in name.lower()
        and _is_ids(array)
        and array.size
        and array[0] == 0
        and (np.diff(array) >= 0).all()
    )


def _is_ids(array: Array) -> bool:
    return array.ndim == 1 and array.dtype.kind in "iu"
