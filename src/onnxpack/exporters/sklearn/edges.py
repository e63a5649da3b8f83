"""Rows at which a graph of an estimator most easily goes wrong."""

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
"""Texts at which two readings of what a word is most easily differ."""

Feeds = Mapping[str, Array]


def edge_feeds(
    model: Any,
    sample: Feeds,
    run: Callable[[Feeds], object],
    *,
    categories: Feeds | None = None,
    closed: Collection[str] = (),
) -> Iterator[tuple[str, Feeds]]:
    """Further inputs by name; what the model itself refuses is no question.

    Args:
        run: the model's answer to named arrays; it raises where the model refuses them.
        categories: all categories of a column, which the sample's rows may not show.
        closed: columns whose unknown categories are not asked, see :func:`gaps.gap_feeds`.
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
    """Rows whose every column is drawn from the sample's own values of it."""

    def drawn(array: Array) -> Array:
        index: Array = np.asarray(random.integers(0, len(array), (count, *array.shape[1:])))
        return np.asarray(np.take_along_axis(array, index, axis=0))

    return {name: drawn(array) for name, array in sample.items()}


def _changed(
    sample: Feeds, name: str, change: Callable[[Array], Array]
) -> Iterator[tuple[str, Feeds]]:
    """The sample, and the sample with its floating-point numbers changed.

    Together, so that an answer that is next to nothing is held against answers of usual size.
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
    """Each value at the smallest or the largest of its column."""
    finite = np.where(np.isfinite(array), array, np.nan)
    low = np.fmin.reduce(finite, axis=0)
    high = np.fmax.reduce(finite, axis=0)
    turn = (np.arange(array.size).reshape(array.shape) * 7 // 3) % 2
    return np.asarray(np.where(turn == 0, low, high))


def _farther(array: Array) -> Array:
    """Each row farther from zero than the one before, by up to a thousand times."""
    factors = np.geomspace(1, 1000, len(array))
    return array * factors.reshape(-1, *[1] * (array.ndim - 1))


def _every_category(
    sample: Feeds, categories: Feeds, run: Callable[[Feeds], object]
) -> Iterator[tuple[str, Feeds]]:
    """For each column with categories, a row for each of them."""
    for name, values in categories.items():
        feeds = {**_rows(sample, np.arange(len(values)) % len(sample[name])), name: values}
        if len(values) and takes(feeds, run):
            yield f"categories of {name}", feeds


def _words(sample: Feeds) -> Iterator[tuple[str, Feeds]]:
    """Where texts are read, those at which readings differ."""
    for name, array in sample.items():
        if array.dtype.kind == "O" and any(" " in text for text in array.ravel()):
            rows = _rows(sample, np.arange(len(TEXTS)) % len(array))
            texts = np.array(TEXTS, object).reshape(-1, *[1] * (array.ndim - 1))
            yield f"texts in {name}", {**rows, name: np.broadcast_to(texts, rows[name].shape)}


def _of_the_model(
    model: Any, sample: Feeds, random: np.random.Generator
) -> Iterator[tuple[str, Feeds]]:
    """At and beside the thresholds, bins and corners of what sees the rows first."""
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
    """The rows as floating-point numbers, where they are numbers."""
    arrays = list(sample.values())
    if any(array.dtype.kind not in "iuf" or array.ndim > 2 for array in arrays):
        return None
    joined = np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1)
    return joined if joined.dtype.kind == "f" else joined.astype(np.float64)


def _feeds(sample: Feeds, rows: Array) -> dict[str, Array]:
    """A matrix as the sample's inputs."""
    found, at = {}, 0
    for name, array in sample.items():
        width = array.shape[1] if array.ndim == 2 else 1
        part = rows[:, at : at + width]
        part = np.rint(part) if array.dtype.kind in "iu" else part
        with np.errstate(all="ignore"):
            found[name] = part.astype(array.dtype).reshape(-1, *array.shape[1:])
        at += width
    return found
