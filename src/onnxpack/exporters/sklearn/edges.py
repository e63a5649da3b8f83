"""Test inputs at which the graph of an estimator is most likely to be wrong."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from onnxpack.exporters.sklearn.corners import corner_values, donor_rows, known_rows, tree_rows
from onnxpack.exporters.sklearn.gaps import gap_feeds, takes
from onnxpack.signature import Array

MANY = 1000
LARGE, TINY = 1e3, 1e-6
TEXTS = (
    "",
    " ",
    "a",
    "The THE the, the! the. THE-the the_the",
    "don't e-mail me@example.com 3.14 2nd 1_000 x² ½",
    "Ärger über ÉTÉ naïve façade ŁÓDŹ straße STRASSE",
    "ПРИВЕТ мир καλημέρα ΚΌΣΜΕ 你好 世界 こんにちは 안녕하세요",
    "tab\tnew\nline\r\nnon\u00a0breaking\u2003em\u200bzero-width",
    "emoji 😀😀 ok👍ok flag 🇩🇪 e\u0301 combining a\u0308b",
    "ΣΊΣΥΦΟΙ ǅ ﬁre x\u0307",
)  # fmt: skip
"""Texts that different tokenizers most likely split differently."""

Feeds = Mapping[str, Array]


def edge_feeds(
    model: Any,
    sample: Feeds,
    run: Callable[[Feeds], object],
    *,
    categories: Feeds | None = None,
    closed: Collection[str] = (),
) -> Iterator[tuple[str, Feeds]]:
    """Yield further test inputs, each with a name.

    Missing values, unseen values and categories are only tested where the model accepts them.

    Args:
        run: returns the model's answer to named arrays; raises if the model rejects them.
        categories: all categories of a column, including those that the sample does not show.
        closed: columns whose unknown categories are not tested, see :func:`gaps.gap_feeds`.
    """
    random = np.random.default_rng(0)
    size = len(next(iter(sample.values())))
    yield "one row", _rows(sample, np.zeros(1, int))
    yield "two rows", _rows(sample, np.arange(2) % size)
    yield "equal rows", _rows(sample, np.full(7, size - 1))
    yield "many rows", _rows(sample, np.arange(MANY) % size)
    yield "mixed columns", _mixed(sample, MANY, random)
    yield from _changed(sample, "extremes", _extremes)
    yield from _changed(sample, "ever farther", _farther)
    yield from _changed(sample, "large values", lambda column: column * LARGE)
    yield from _changed(sample, "tiny values", lambda column: column * TINY)
    yield from _changed(sample, "zeros", np.zeros_like)
    yield from gap_feeds(sample, run, closed)
    yield from _every_category(sample, categories or {}, run)
    yield from _words(sample)
    yield from _of_the_model(model, sample, random)


def _rows(sample: Feeds, index: Array) -> dict[str, Array]:
    return {name: array[index] for name, array in sample.items()}


def _mixed(sample: Feeds, count: int, random: np.random.Generator) -> dict[str, Array]:
    """Return rows in which each value is drawn from the sample's values of its column."""

    def drawn(array: Array) -> Array:
        index: Array = np.asarray(random.integers(0, len(array), (count, *array.shape[1:])))
        return np.asarray(np.take_along_axis(array, index, axis=0))

    return {name: drawn(array) for name, array in sample.items()}


def _changed(
    sample: Feeds, name: str, change: Callable[[Array], Array]
) -> Iterator[tuple[str, Feeds]]:
    """Yield the sample, followed by the sample with its floating-point numbers changed.

    Both are in one batch, so that answers near 0 are compared on the scale of the usual answers.
    """
    if any(array.dtype.kind == "f" for array in sample.values()):
        with np.errstate(all="ignore"):
            yield (
                name,
                {
                    key: np.concatenate([array, _as_changed(array, change)])
                    for key, array in sample.items()
                },
            )


def _as_changed(array: Array, change: Callable[[Array], Array]) -> Array:
    return change(array).astype(array.dtype) if array.dtype.kind == "f" else array


def _extremes(array: Array) -> Array:
    """Return the array with each value replaced by the minimum or maximum of its column."""
    finite = np.where(np.isfinite(array), array, np.nan)
    low = np.fmin.reduce(finite, axis=0)
    high = np.fmax.reduce(finite, axis=0)
    turn = (np.arange(array.size).reshape(array.shape) * 7 // 3) % 2
    return np.asarray(np.where(turn == 0, low, high))


def _farther(array: Array) -> Array:
    """Return the rows scaled by factors that rise from 1 to 1000."""
    factors = np.geomspace(1, 1000, len(array))
    return array * factors.reshape(-1, *[1] * (array.ndim - 1))


def _every_category(
    sample: Feeds, categories: Feeds, run: Callable[[Feeds], object]
) -> Iterator[tuple[str, Feeds]]:
    """Yield, for each column with categories, one row for each category."""
    for name, values in categories.items():
        feeds = {**_rows(sample, np.arange(len(values)) % len(sample[name])), name: values}
        if len(values) and takes(feeds, run):
            yield f"categories of {name}", feeds


def _words(sample: Feeds) -> Iterator[tuple[str, Feeds]]:
    """Yield, for each column of texts, the texts that tokenizers may split differently."""
    for name, array in sample.items():
        if array.dtype.kind == "O" and any(" " in text for text in array.ravel()):
            rows = _rows(sample, np.arange(len(TEXTS)) % len(array))
            texts = np.array(TEXTS, object).reshape(-1, *[1] * (array.ndim - 1))
            yield f"texts in {name}", {**rows, name: np.broadcast_to(texts, rows[name].shape)}


def _of_the_model(
    model: Any, sample: Feeds, random: np.random.Generator
) -> Iterator[tuple[str, Feeds]]:
    """Yield rows at the thresholds, bins and training rows of the estimators that see the input."""
    base = _matrix(sample)
    if base is None:
        return
    for name, rows in (
        ("thresholds", tree_rows(model, base)),
        ("corners", corner_values(model, base)),
        ("training rows", known_rows(model, base, random)),
        ("training rows with gaps", donor_rows(model, base, random)),
    ):
        if len(rows):
            yield name, _feeds(sample, rows)


def _matrix(sample: Feeds) -> Array | None:
    """Return the inputs as one floating-point matrix, or None if some are not numbers."""
    arrays = list(sample.values())
    if any(array.dtype.kind not in "iuf" or array.ndim > 2 for array in arrays):
        return None
    joined = np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)
    return joined if joined.dtype.kind == "f" else joined.astype(np.float64)


def _feeds(sample: Feeds, rows: Array) -> dict[str, Array]:
    """Split a matrix into named inputs with the sample's shapes and dtypes."""
    found, at = {}, 0
    for name, array in sample.items():
        width = array.shape[1] if array.ndim == 2 else 1
        part = rows[:, at : at + width]
        part = np.rint(part) if array.dtype.kind in "iu" else part
        with np.errstate(all="ignore"):
            found[name] = part.astype(array.dtype).reshape(-1, *array.shape[1:])
        at += width
    return found
