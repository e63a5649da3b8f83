"""Read a booster's text as trees.

The text is read rather than the nested JSON, which Python cannot read if a tree is deep.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from onnxpack.exporters.trees.columns import IN_SET, Columns
from onnxpack.exporters.trees.ensemble import Ensemble, Tree
from onnxpack.signature import Array

CUSTOM = "custom"
"""Name for the objective of a booster that states none: a function of the user's."""
CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_SHIFT = 2
NONE, ZERO, NAN = 0, 1, 2
"""Values that count as missing at a node: none (NaN is read as 0), zero and NaN, or NaN."""
WORD = 32
"""Number of bits in each integer of a set of categories."""


@dataclass(frozen=True)
class Linear:
    """The linear functions in a tree's leaves, in the order of the leaves.

    Attributes:
        constant: the constant term of each leaf.
        features: the features in each leaf's linear function.
        slopes: the coefficients of these features.
        fallback: the value of a leaf if one of its features is NaN.
    """

    constant: Array
    features: tuple[tuple[int, ...], ...]
    slopes: tuple[tuple[float, ...], ...]
    fallback: Array


@dataclass(frozen=True)
class Description:
    """The description of a booster, up to its best iteration.

    Attributes:
        header: the first part of the booster's text, by key.
        blocks: the text of each tree, by key.
    """

    header: Mapping[str, str]
    blocks: tuple[Mapping[str, str], ...]

    @classmethod
    def of(cls, booster: Any) -> Description:
        """Return a booster's description; it ends at the best iteration, as ``predict`` does."""
        head, _, rest = booster.model_to_string().partition("\n\nTree=")
        trees = rest.partition("\nend of trees")[0].split("\nTree=") if rest else []
        return cls(_pairs(head), tuple(_pairs(text) for text in trees))

    @property
    def objective(self) -> tuple[str, Mapping[str, str]]:
        """The name and parameters of the objective: ``binary``, ``{"sigmoid": "1"}``."""
        name, *given = self.header.get("objective", CUSTOM).split()
        return name, {key: value for key, _, value in (part.partition(":") for part in given)}

    @property
    def features(self) -> int:
        """The number of features."""
        return int(self.header["max_feature_idx"]) + 1

    @property
    def targets(self) -> int:
        """The number of scores of a row; each iteration has one tree for each score."""
        return int(self.header["num_tree_per_iteration"])

    @property
    def averages(self) -> bool:
        """Whether the score is the mean of the iterations, as in a random forest."""
        return "average_output" in self.header

    @property
    def iterations(self) -> int:
        """The number of iterations that ``predict`` uses."""
        return len(self.blocks) // self.targets

    @property
    def is_linear(self) -> bool:
        """Whether leaves hold linear functions."""
        return any(block.get("is_linear") == "1" for block in self.blocks)

    @cached_property
    def views(self) -> tuple[int, ...]:
        """The kind of missing value of each copy of the features; in the first copy it is NaN."""
        kinds = [_decisions(block) >> MISSING_SHIFT for block in self.blocks]
        return tuple(np.unique(np.concatenate([*kinds, [NAN]])).tolist())[::-1]

    def ensemble(self, columns: Columns) -> Ensemble:
        """Return the trees; the columns are the features once for each of :attr:`views`."""
        trees = (self._tree(number, block, columns) for number, block in enumerate(self.blocks))
        return Ensemble(tuple(trees), self.targets)

    def of_features(self, ensemble: Ensemble) -> Ensemble:
        """Return the trees with indices of the given features; columns of sets stay beyond."""
        copies = len(self.views) * self.features

        def plain(tree: Tree) -> Tree:
            return dataclasses.replace(
                tree,
                feature=np.where(tree.feature < copies, tree.feature % self.features, tree.feature),
            )

        return dataclasses.replace(ensemble, trees=tuple(map(plain, ensemble.trees)))

    def linear(self, number: int) -> Linear:
        """Return the linear functions of one tree's leaves."""
        block = self.blocks[number]
        fallback = _numbers(block, "leaf_value")
        if block.get("is_linear") != "1":
            none: tuple[tuple[int, ...], ...] = ((),) * len(fallback)
            return Linear(fallback, none, none, fallback)
        counts = _numbers(block, "num_features").astype(int)
        features = _numbers(block, "leaf_features").astype(int)
        slopes = _numbers(block, "leaf_coeff")
        bounds = np.cumsum(counts)[:-1]
        return Linear(
            _numbers(block, "leaf_const"),
            tuple(tuple(part.tolist()) for part in np.split(features, bounds)),
            tuple(tuple(part.tolist()) for part in np.split(slopes, bounds)),
            fallback,
        )

    def _tree(self, number: int, block: Mapping[str, str], columns: Columns) -> Tree:
        leaves = _numbers(block, "leaf_value")
        inner = len(leaves) - 1
        decisions = _decisions(block)
        kinds = decisions >> MISSING_SHIFT
        offset = np.array([self.views.index(int(kind)) for kind in kinds], int) * self.features
        feature = _numbers(block, "split_feature").astype(int)
        threshold = _numbers(block, "threshold")
        tested = feature + offset
        for node in np.flatnonzero(decisions & CATEGORICAL):
            tested[node] = columns.subset(
                int(feature[node]),
                _categories(block, int(threshold[node])),
                other=False,
                missing=False,
            )
            threshold[node] = IN_SET
        return Tree(
            np.concatenate((tested, np.zeros(inner + 1))),
            np.concatenate((threshold, np.zeros(inner + 1))),
            _children(block, "left_child", inner),
            _children(block, "right_child", inner),
            np.concatenate((decisions & DEFAULT_LEFT, np.zeros(inner + 1))),
            np.concatenate((np.zeros(inner), leaves)),
            number % self.targets,
        )


def _pairs(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {key: value for key, _, value in pairs}


def _numbers(block: Mapping[str, str], key: str) -> Array:
    return np.array(block.get(key, "").split(), np.float64)


def _decisions(block: Mapping[str, str]) -> Array:
    return _numbers(block, "decision_type").astype(int)


def _children(block: Mapping[str, str], key: str, inner: int) -> Array:
    """Return the children of each node, with leaves last; the text counts leaves from -1 down."""
    child = _numbers(block, key).astype(int)
    return np.concatenate((np.where(child < 0, inner + ~child, child), np.full(inner + 1, -1)))


def _categories(block: Mapping[str, str], number: int) -> list[int]:
    """Return the categories of one set, which is stored as the bits of 32-bit words."""
    bounds = _numbers(block, "cat_boundaries").astype(int)
    words = np.array(block["cat_threshold"].split(), np.uint32)[bounds[number] : bounds[number + 1]]
    bits = (words[:, None] >> np.arange(WORD, dtype=np.uint32)) & 1
    return [int(category) for category in np.flatnonzero(bits)]
