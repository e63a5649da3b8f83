"""Make rows at which an ensemble of trees is likely to go wrong: at and next to its thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from onnxpack.exporters.trees.ensemble import Ensemble, Mode, Tree
from onnxpack.parity.ties import INFINITE_VALUES
from onnxpack.signature import Array

NODES = 400
"""Largest number of tests that are tried; if there are more, they are drawn at random."""
MOST = 400
"""Largest number of rows in which one feature after the other is NaN, zero or infinite."""
MANY = 1000
"""Number of rows at which onnxruntime divides its work."""
REPLACED = 0.7
"""Share of a feature's values that lie at thresholds, in rows that mix both."""
ZEROS = (0.0, -0.0, 1e-35, -1e-35, 1.0000001e-35, 1e-36, 2e-35, 1e-45)
"""Zeros, and numbers around the magnitude up to which LightGBM treats a number as zero."""


def edge_matrices(
    ensemble: Ensemble, base: Array, categories: Mapping[int, int]
) -> Iterator[tuple[str, Array]]:
    """Yield matrices to try, each with a name; a framework may refuse some of them.

    Args:
        ensemble: the trees whose thresholds are tried.
        base: the sample, floating-point [rows, features].
        categories: the number of categories of each categorical column.
    """
    rows = threshold_rows(ensemble, base)
    if len(rows):
        yield "thresholds", rows
    yield "missing", _each_feature(base, [np.nan])
    yield "all missing", np.full_like(base[:1], np.nan)
    yield "zeros", _each_feature(base, ZEROS)
    if categories:
        yield "categories", _each_category(base, categories)
    yield INFINITE_VALUES, _each_feature(base, [np.inf, -np.inf])
    largest = float(np.finfo(np.float32).max)
    yield "extremes", _each_feature(base, [largest, -largest, 1e30, -1e30])
    yield f"{MANY} rows", mixed_rows(ensemble, base, MANY)


def mixed_rows(ensemble: Ensemble, base: Array, count: int) -> Array:
    """Return rows whose features come from rows of the sample or lie at thresholds.

    All thresholds of a feature are equally likely, so that all combinations occur if the features
    have few.
    """
    random = np.random.default_rng(1)
    rows = base[random.integers(len(base), size=(count, base.shape[1])), np.arange(base.shape[1])]
    splits = list(ensemble.splits())
    columns = np.concatenate([np.zeros(0, int), *(features for features, _ in splits)])
    thresholds = np.concatenate([np.zeros(0), *(values for _, values in splits)])
    for feature in np.unique(columns[columns < base.shape[1]]):
        values = beside(np.unique(thresholds[columns == feature]), base.dtype)
        replaced = random.random(count) < REPLACED
        rows[replaced, feature] = random.choice(values, size=int(replaced.sum()))
    return np.asarray(np.where(np.isinf(rows), 0, rows), base.dtype)


def _each_feature(base: Array, values: Sequence[float]) -> Array:
    """Return a row for each feature and value; if there are very many features, for some."""
    most = MOST // len(values)
    features = np.unique(np.linspace(0, base.shape[1] - 1, most).astype(int))
    count = len(features) * len(values)
    rows: Array = base[np.arange(count) % len(base)].copy()
    rows[np.arange(count), np.tile(features, len(values))] = np.repeat(values, len(features))
    return rows


def _each_category(base: Array, categories: Mapping[int, int]) -> Array:
    """Return a row for each category, and for two unknown ones."""
    tests = [(f, c) for f, count in categories.items() for c in range(-1, count + 1)]
    rows = base[np.arange(len(tests)) % len(base)].copy()
    for row, (feature, category) in zip(rows, tests, strict=True):
        row[feature] = category
    return rows


def threshold_rows(ensemble: Ensemble, base: Array, *, nodes: int = NODES, seed: int = 0) -> Array:
    """Return three rows for each test: its threshold, and the next number below and above.

    Every row reaches the node of its test: features that are tested on the way there get a value
    that passes. The others keep their value in ``base``.

    Args:
        ensemble: the trees whose tests are tried; tests of columns that ``base`` lacks are left
            out.
        base: floating-point rows to start from, [rows, features].
        nodes: the largest number of tests to try.
        seed: the seed that selects the tests.

    Returns:
        Rows of the dtype of ``base``; none if no test uses its features.
    """
    random = np.random.default_rng(seed)
    tests = [
        (tree, int(node))
        for tree in ensemble.trees
        for node in np.flatnonzero(~tree.leaves & (tree.feature < base.shape[1]))
    ]
    if len(tests) > nodes:
        tests = [tests[i] for i in sorted(random.choice(len(tests), nodes, replace=False))]
    rows = []
    parents: dict[int, Array] = {}
    for number, (tree, node) in enumerate(tests):
        up = parents.setdefault(id(tree), _parents(tree))
        row = base[number % len(base)].copy()
        _lead(row, tree, up, node, ensemble.mode)
        for value in beside(tree.threshold[node], base.dtype):
            row[tree.feature[node]] = value
            rows.append(row.copy())
    return np.array(rows, base.dtype).reshape(-1, base.shape[1])


def beside(value: ArrayLike, dtype: DTypeLike) -> Array:
    """Return, for each value, the nearest number of the dtype and its two neighbours."""
    with np.errstate(over="ignore"):
        nearest = np.asarray(value).astype(dtype)
        around = [np.nextafter(nearest, -np.inf), nearest, np.nextafter(nearest, np.inf)]
    return np.array(around, dtype).ravel()


def _parents(tree: Tree) -> Array:
    """Return the parent of each node; -1 for the root."""
    up = np.full(len(tree.left), -1)
    inner = np.flatnonzero(~tree.leaves)
    up[tree.left[inner]] = inner
    up[tree.right[inner]] = inner
    return up


def _lead(row: Array, tree: Tree, up: Array, node: int, mode: Mode) -> None:
    """Change a row so that it reaches the node; the nearest tests above the node are the bounds."""
    low: dict[int, float] = {}
    high: dict[int, float] = {}
    child, above = node, int(up[node])
    while above >= 0:
        feature = int(tree.feature[above])
        if feature < len(row):
            (high if tree.left[above] == child else low).setdefault(
                feature, float(tree.threshold[above])
            )
        child, above = above, int(up[above])
    for feature in low.keys() | high.keys():
        row[feature] = _between(
            row[feature], low.get(feature, -np.inf), high.get(feature, np.inf), mode
        )


def _between(value: float, low: float, high: float, mode: Mode) -> float:
    """Return the value itself if it passes both tests, else one that does."""
    leq = mode is Mode.LEQ
    if (low < value <= high) if leq else (low <= value < high):
        return value
    if np.isfinite(low) and np.isfinite(high):
        return low / 2 + high / 2
    bound, other = (high, low) if leq else (low, high)
    return bound if np.isfinite(bound) else float(np.nextafter(other, np.inf if leq else -np.inf))
