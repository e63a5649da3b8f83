"""Build the matrix that an ensemble tests: features, then a column for each set of categories."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from onnxpack.exporters.trees.graph import ML, Graph
from onnxpack.signature import Array

BEYOND = 2.0**40
"""Bound for categories before they become integers; no framework has such a large category."""
IN_SET = 0.5
"""Threshold of a node that tests a column of :meth:`Columns.subset`: left if in the set."""


@dataclass(frozen=True, slots=True)
class Subset:
    """The categories that go left at a node.

    Attributes:
        categories: the categories of the set; they go the opposite way of ``other``.
        other: whether any other number goes left.
        missing: whether NaN goes left.
    """

    categories: frozenset[int]
    other: bool
    missing: bool


class Columns:
    """The columns of features and of sets of categories, by number.

    Args:
        features: how many features there are; they are the first columns.
    """

    def __init__(self, features: int) -> None:
        self._width = features
        self._subsets: dict[tuple[int, Subset], int] = {}

    def subset(self, feature: int, categories: Iterable[int], *, other: bool, missing: bool) -> int:
        """Return the number of a column that is 0 if the feature goes left, and 1 if right.

        A number is first truncated to an integer, as in C: 2.7 to 2, -0.5 to 0.

        Args:
            feature: the feature whose value is a category.
            categories: the categories of the set.
            other: whether a number outside of the set goes left. A number in the set goes the other
                way.
            missing: whether NaN goes left.
        """
        key = feature, Subset(frozenset(categories), other, missing)
        return self._subsets.setdefault(key, self._width + len(self._subsets))

    def write(self, graph: Graph, x: str) -> str:
        """Write the whole matrix in float64; ``x`` is the matrix of features in float64."""
        parts, order = [x], list(range(self._width))
        for feature in dict.fromkeys(feature for feature, _ in self._subsets):
            own = {s: column for (f, s), column in self._subsets.items() if f == feature}
            parts.append(_look_up(graph, x, feature, list(own)))
            order += own.values()
        if len(parts) == 1:
            return x
        joined = graph.add("Concat", *parts, axis=1)
        return graph.add("Gather", joined, graph.constant(np.argsort(order)), axis=1)


def _look_up(graph: Graph, x: str, feature: int, subsets: list[Subset]) -> str:
    """Write one column for each set, by a table with a row for each category."""
    known = sorted(set().union(*(subset.categories for subset in subsets)))
    value = graph.add("Gather", x, graph.constant(feature), axis=1)
    missing = graph.add("IsNaN", value)
    number = graph.add("Where", missing, graph.constant(-1.0), value)
    bounded = graph.add("Clip", number, graph.constant(-BEYOND), graph.constant(BEYOND))
    row = graph.add(
        "LabelEncoder",
        graph.cast(bounded, np.int64),
        domain=ML,
        keys_int64s=known,
        values_int64s=list(range(len(known))),
        default_int64=len(known),
    )
    row = graph.add("Where", missing, graph.constant(len(known) + 1), row)
    found = graph.add("Gather", graph.constant(_table(known, subsets)), row, axis=0)
    return graph.cast(found, np.float64)


def _table(known: list[int], subsets: list[Subset]) -> Array:
    """Return whether each goes right: a row for each category, then other numbers, then NaN."""
    return np.array(
        [
            *([(c in s.categories) == s.other for s in subsets] for c in known),
            [not s.other for s in subsets],
            [not s.missing for s in subsets],
        ]
    )
