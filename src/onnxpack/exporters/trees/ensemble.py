"""Describe an ensemble of trees by arrays, independent of any framework."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from onnxpack.signature import Array

LEAF = -1


class Mode(Enum):
    """The test of every node; if it is true, the row goes left. Each value is ONNX's name."""

    LEQ = "BRANCH_LEQ"
    """The test ``x <= threshold``: scikit-learn, LightGBM, CatBoost."""
    LT = "BRANCH_LT"
    """The test ``x < threshold``: XGBoost."""


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """One tree; each array has one entry a node, and the root is node 0.

    Attributes:
        feature: the column that a node tests; ignored at a leaf.
        threshold: the number that the column is compared with, in float64.
        left: the node that follows if the test is true; ``LEAF`` (-1) at a leaf.
        right: the node that follows if the test is false; ``LEAF`` at a leaf.
        missing_left: whether NaN goes left.
        value: [nodes, width]: what a leaf adds to the targets ``target`` … ``target + width - 1``;
            ignored at other nodes.
        target: the first target that this tree adds to.
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    missing_left: Array
    value: Array
    target: int = 0

    def __init__(
        self,
        feature: ArrayLike,
        threshold: ArrayLike,
        left: ArrayLike,
        right: ArrayLike,
        missing_left: ArrayLike,
        value: ArrayLike,
        target: int = 0,
    ) -> None:
        size = len(np.asarray(left))
        given: dict[str, tuple[ArrayLike, Any]] = {
            "feature": (feature, np.int64),
            "threshold": (threshold, np.float64),
            "left": (left, np.int64),
            "right": (right, np.int64),
            "missing_left": (missing_left, np.bool_),
        }
        for name, (values, dtype) in given.items():
            object.__setattr__(self, name, np.asarray(values, dtype).reshape(size))
        object.__setattr__(self, "value", np.asarray(value, np.float64).reshape(size, -1))
        object.__setattr__(self, "target", int(target))
        self._check()

    @property
    def leaves(self) -> Array:
        """A mask of the nodes that are leaves."""
        return np.equal(self.left, LEAF)

    @property
    def is_constant(self) -> bool:
        """Whether the tree consists of a single leaf."""
        return bool(self.left[0] == LEAF)

    def _check(self) -> None:
        """Raise ValueError for an invalid tree, which is a bug of the exporter that made it."""
        inner = ~self.leaves
        children = np.concatenate((self.left[inner], self.right[inner]))
        if not np.array_equal(np.sort(children), np.arange(1, len(self.left))):
            raise ValueError("every node of a tree except its root is the child of one other node")
        if np.isnan(self.threshold[inner]).any():
            raise ValueError("a threshold is NaN")
        if not np.isfinite(self.value[self.leaves]).all():
            raise ValueError("the value of a leaf is not finite")


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Trees whose leaves are added up.

    Attributes:
        trees: the trees in the framework's order.
        targets: the number of sums.
        mode: the test of every node.
    """

    trees: tuple[Tree, ...]
    targets: int
    mode: Mode = Mode.LEQ

    def splits(self) -> Iterator[tuple[Array, Array]]:
        """Yield the columns and thresholds of each tree's tests."""
        for tree in self.trees:
            inner = ~tree.leaves
            yield tree.feature[inner], tree.threshold[inner]
