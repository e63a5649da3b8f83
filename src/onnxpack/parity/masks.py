"""Recognise mask inputs, and make the mask rows at which attention and pooling go wrong.

Frameworks differ on a row that keeps nothing: PyTorch's attention gives zeros for it since
2.5, plain softmax gives NaN, and an exporter may write either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from onnxpack.signature import Array

NAMED = ("mask", "padding", "valid")
"""Parts of an input's name that mark zeros and ones as a mask."""

Kept = Mapping[str, Array]
"""Names of kinds of mask rows, with the places that each kind keeps."""


def is_mask(name: str, array: Array) -> bool:
    """Return whether an input of zeros and ones says which places of each row count.

    The input's name or its rows show it: each is ones and then zeros, or zeros and then ones.
    """
    if array.dtype.kind not in "biu" or array.ndim < 2 or array.size == 0:
        return False
    if not np.isin(array, (0, 1)).all() or not array.any():
        return False
    if any(word in name.lower() for word in NAMED):
        return True
    steps = np.diff(array.astype(np.int8), axis=-1)
    monotone = ((steps >= 0).all(axis=-1) | (steps <= 0).all(axis=-1)).all()
    return bool(monotone and steps.any())


def draw_mask(random: np.random.Generator, like: Array, shape: tuple[int, ...]) -> Array:
    """Draw random mask rows of ones followed by zeros; each row keeps at least one place."""
    kept = random.integers(1, shape[-1] + 1, size=(*shape[:-1], 1))
    return (np.arange(shape[-1]) < kept).astype(like.dtype)


def masked_rows(sample: Mapping[str, Array]) -> Iterator[tuple[str, dict[str, Array]]]:
    """Yield the sample with each kind of mask row; masked tokens become zero.

    The batch keeps its size, so that a model with a fixed batch size can be tried too. A case holds
    as many kinds of mask rows as the batch has rows.
    """
    masks = [name for name, array in sample.items() if is_mask(name, array)]
    if not masks:
        return
    kinds = list(_kinds(1))
    together = max(min(sample[name].shape[0] for name in masks), 1)
    for start in range(0, len(kinds), together):
        chosen = kinds[start : start + together]
        yield f"masks that keep {', '.join(chosen)}", _with_rows(sample, masks, chosen)


def _kinds(length: int) -> Kept:
    places = np.arange(length)
    half = (length + 1) // 2
    return {
        "nothing": np.zeros(length, bool),
        "everything": np.ones(length, bool),
        "the first": places == 0,
        "the last": places == length - 1,
        "the left half": places < half,
        "the right half": places >= length // 2,
        "all but one": places != length // 2,
    }


def _with_rows(
    sample: Mapping[str, Array], masks: list[str], chosen: list[str]
) -> dict[str, Array]:
    feeds = dict(sample)
    for name in masks:
        array = sample[name]
        kinds = _kinds(array.shape[-1])
        rows = np.stack([kinds[chosen[row % len(chosen)]] for row in range(array.shape[0])])
        inner = (1,) * (array.ndim - 2)
        rows = rows.reshape(array.shape[0], *inner, array.shape[-1])
        feeds[name] = np.broadcast_to(rows, array.shape).astype(array.dtype)
    for name, array in sample.items():
        beside = [feeds[mask] for mask in masks if feeds[mask].shape == array.shape]
        if name not in masks and array.dtype.kind in "iu" and beside:
            # Where nothing is kept the tokens stay, so that the answer shows which of them is used.
            padding = (beside[0] == 0) & (beside[0] != 0).any(axis=-1, keepdims=True)
            feeds[name] = np.where(padding, 0, array).astype(array.dtype)
    return feeds
