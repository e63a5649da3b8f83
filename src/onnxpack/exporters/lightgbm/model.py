"""What a booster's text says, as trees.

The text is read rather than the nested JSON, which Python cannot read where a tree is deep.
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
"""The objective of a booster that names none: it was a function of the user's."""
CATEGORICAL, DEFAULT_LEFT = 1, 2
MISSING_SHIFT = 2
NONE, ZERO, NAN = 0, 1, 2
"""What counts as missing at a node: nothing (NaN is 0 there), zero and NaN, or NaN."""
WORD = 32
"""Bits of each integer of a set of categories."""


@dataclass(frozen=True)
class Linear:
    """The lines in a tree's leaves; leaf by leaf.

    Attributes:
        constant: what each leaf adds.
        features: the features of each leaf's line.
        slopes: theirs.
        fallback: what a leaf adds where one of its features is NaN.
    """

    constant: Array
    features: tuple[tuple[int, ...], ...]
    slopes: tuple[tuple[float, ...], ...]
    fallback: Array


@dataclass(frozen=True)
class Description:
    """A booster, of the iterations that count.

    Attributes:
        header: its text's first part, by key.
        blocks: one for each tree, by key.
    """

    header: Mapping[str, str]
    blocks: tuple[Mapping[str, str], ...]

    @classmethod
    def of(cls, booster: Any) -> Description:
        """Return a booster's description; it ends at its best iteration, as ``predict`` does."""
        head, _, rest = booster.model_to_string().partition("\n\nTree=")
        trees = rest.partition("\nend of trees")[0].split("\nTree=") if rest else []
        return cls(_pairs(head), tuple(_pairs(text) for text in trees))

    @property
    def objective(self) -> tuple[str, Mapping[str, str]]:
        """Its name and what is set of it: ``binary``, ``{"sigmoid": "1"}``."""
        name, *given = self.header.get("objective", CUSTOM).split()
        return name, {key: value for key, _, value in (part.partition(":") for part in given)}

    @property
    def features(self) -> int:
        """How many there are."""
        return int(self.header["max_feature_idx"]) + 1

    @property
    def targets(self) -> int:
        """How many scores a row has: a tree of every iteration for each."""
        return int(self.header["num_tree_per_iteration"])

    @property
    def averages(self) -> bool:
        """Whether the score is the mean of the iterations, as in a random forest."""
        return "average_output" in self.header

    @property
    def iterations(self) -> int:
        """How many count."""
        return len(self.blocks) // self.targets

    @property
    def is_linear(self) -> bool:
        """Whether there are lines in the leaves."""
        return any(block.get("is_linear") == "1" for block in self.blocks)

    @cached_property
    def views(self) -> tuple[int, ...]:
        """What counts as missing, for each copy of the features; in the first, NaN does."""
        kinds = [_decisions(block) >> MISSING_SHIFT for block in self.blocks]
        return tuple(np.unique(np.concatenate([*kinds, [NAN]])).tolist())[::-1]

    def ensemble(self, columns: Columns) -> Ensemble:
        """Return the trees; the columns are the features once for each of :attr:`views`."""
        trees = (self._tree(number, block, columns) for number, block in enumerate(self.blocks))
        return Ensemble(tuple(trees), self.targets)

    def of_features(self, ensemble: Ensemble) -> Ensemble:
        """Return the same trees, of the features as they are given; a set's column stays beyond."""
        copies = len(self.views) * self.features

        def plain(tree: Tree) -> Tree:
            return dataclasses.replace(
                tree,
                feature=np.where(tree.feature < copies, tree.feature % self.features, tree.feature),
            )

        return dataclasses.replace(ensemble, trees=tuple(map(plain, ensemble.trees)))

    def linear(self, number: int) -> Linear:
        """Return the lines of one tree's leaves."""
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
    """Return the nodes below each; the text counts leaves down from -1, and here they come last."""
    child = _numbers(block, key).astype(int)
    return np.concatenate((np.where(child < 0, inner + ~child, child), np.full(inner + 1, -1)))


def _categories(block: Mapping[str, str], number: int) -> list[int]:
    """Return the categories of one set, which is kept as the bits of 32-bit words."""
    bounds = _numbers(block, "cat_boundaries").astype(int)
    words = np.array(block["cat_threshold"].split(), np.uint32)[bounds[number] : bounds[number + 1]]
    bits = (words[:, None] >> np.arange(WORD, dtype=np.uint32)) & 1
    return [int(category) for category in np.flatnonzero(bits)]
