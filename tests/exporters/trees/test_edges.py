from __future__ import annotations

import numpy as np
import pytest
from tests.exporters.trees.conftest import grow

from onnxpack.exporters.trees.edges import beside, threshold_rows
from onnxpack.exporters.trees.ensemble import Ensemble, Mode, Tree


def visited(tree: Tree, row: np.ndarray, mode: Mode) -> list[int]:
    path, node = [], 0
    while True:
        path.append(node)
        if tree.leaves[node]:
            return path
        x, t = float(row[tree.feature[node]]), float(tree.threshold[node])
        test = x <= t if mode is Mode.LEQ else x < t
        node = int((tree.left if test else tree.right)[node])


@pytest.mark.parametrize("mode", Mode)
def test_rows_come_to_the_node_and_part_there(mode: Mode) -> None:
    random = np.random.default_rng(3)
    inner = 31
    node = np.arange(2 * inner + 1)
    left = np.where(node < inner, 2 * node + 1, -1)
    right = np.where(node < inner, 2 * node + 2, -1)
    tree = Tree(node % inner, random.normal(size=len(node)), left, right, node * 0, node * 1.0)
    rows = threshold_rows(Ensemble((tree,), 1, mode), random.normal(size=(4, inner)))
    assert len(rows) == 3 * inner
    for number, (below, at, above) in enumerate(rows.reshape(inner, 3, inner)):
        feature, threshold = tree.feature[number], tree.threshold[number]
        assert at[feature] == threshold
        assert below[feature] < threshold < above[feature]
        ends = [visited(tree, row, mode) for row in (below, at, above)]
        assert all(number in path for path in ends)
        assert ends[0][-1] != ends[2][-1]
        assert ends[1] == ends[0 if mode is Mode.LEQ else 2]


def test_only_so_many_and_the_same_ones() -> None:
    random = np.random.default_rng(0)
    ensemble = Ensemble(tuple(grow(random, 3, 6) for _ in range(30)), targets=1)
    base = random.normal(size=(2, 3)).astype(np.float32)
    rows = threshold_rows(ensemble, base, nodes=10)
    assert rows.shape == (30, 3)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, threshold_rows(ensemble, base, nodes=10))


def test_columns_that_are_no_features_are_left_out() -> None:
    tree = Tree([7, 0, 0], [0.5, 0, 0], [1, -1, -1], [2, -1, -1], [0, 0, 0], [0, 1, 2])
    assert threshold_rows(Ensemble((tree,), 1), np.ones((1, 3))).shape == (0, 3)


def test_beside_a_threshold_that_the_dtype_has_not() -> None:
    below, near, above = beside(0.1, np.float32)
    assert below < near == np.float32(0.1) < above
