"""Random ensembles in onnxruntime against their plain meaning in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.exporters.trees.conftest import Evaluate, grow, in_numpy

from onnxpack.exporters.trees.edges import threshold_rows
from onnxpack.exporters.trees.ensemble import LEAF, Ensemble, Mode, Tree

FEATURES = 5


def rows_for(ensemble: Ensemble, dtype: str, random: np.random.Generator) -> np.ndarray:
    base = random.normal(size=(60, FEATURES)).astype(dtype)
    base[random.random(base.shape) < 0.2] = np.nan
    base[0], base[1], base[2], base[3] = np.inf, -np.inf, -0.0, 0.0
    return np.concatenate((base, threshold_rows(ensemble, base, nodes=60)))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1),
    trees=st.integers(1, 12),
    width=st.integers(1, 3),
    mode=st.sampled_from(Mode),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_any_ensemble(
    in_onnxruntime: Evaluate, seed: int, trees: int, width: int, mode: Mode, dtype: str
) -> None:
    random = np.random.default_rng(seed)
    grown = tuple(
        grow(random, FEATURES, 4, width=width, target=int(random.integers(3))) for _ in range(trees)
    )
    ensemble = Ensemble(grown, targets=width + 2, mode=mode)
    rows = rows_for(ensemble, dtype, random)
    np.testing.assert_allclose(
        in_onnxruntime(ensemble, rows), in_numpy(ensemble, rows), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("rows", [1, 2, 40, 700])
@pytest.mark.parametrize("trees", [3, 150])
def test_whatever_way_the_work_is_divided(in_onnxruntime: Evaluate, rows: int, trees: int) -> None:
    """onnxruntime divides by trees or by rows, as there are many or few of them."""
    random = np.random.default_rng(rows + trees)
    ensemble = Ensemble(tuple(grow(random, FEATURES, 5) for _ in range(trees)), targets=1)
    given = random.normal(size=(rows, FEATURES))
    np.testing.assert_allclose(
        in_onnxruntime(ensemble, given), in_numpy(ensemble, given), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("unit", [1e-300, 1e-42, 1.0, 3e9, 1e200])
def test_sums_of_any_size(in_onnxruntime: Evaluate, unit: float) -> None:
    """A float32 sum would lose all but seven digits, and the largest and smallest entirely."""
    random = np.random.default_rng(1)
    weights = unit * (2.0**24 + random.integers(-9, 9, size=(200, 2)))
    trees = tuple(
        Tree([0, 0, 0], [0, 0, 0], [1, LEAF, LEAF], [2, LEAF, LEAF], [0, 0, 0], [0, a, b])
        for a, b in weights
    )
    given = np.array([[-1.0], [1.0]])
    found = in_onnxruntime(Ensemble(trees, targets=1), given)
    np.testing.assert_allclose(found[:, 0], weights.sum(axis=0), rtol=1e-11)


def test_equal_sums_are_equal(in_onnxruntime: Evaluate) -> None:
    """What is a tie stays a tie, in whatever order it is summed: 0.1 + 0.2 + 0.7 and 0.7 + …"""
    shares = [0.1, 0.2, 0.7] * 50
    trees = tuple(
        Tree([0, 0, 0], [0, 0, 0], [1, LEAF, LEAF], [2, LEAF, LEAF], [0, 0, 0],
             [[0, 0], [a, b], [b, a]])
        for a, b in zip(shares, shares[::-1], strict=True)
    )  # fmt: skip
    found = in_onnxruntime(Ensemble(trees, targets=2), np.zeros((300, 1)))
    assert (found[:, 0] == found[:, 1]).all()


def test_trees_without_a_split(in_onnxruntime: Evaluate) -> None:
    leaf = Tree([0], [0], [LEAF], [LEAF], [0], [[1.5, -2.0]], target=1)
    found = in_onnxruntime(Ensemble((leaf, leaf), targets=3), np.array([[np.nan], [1.0]]))
    np.testing.assert_array_equal(found, [[0, 3, -4]] * 2)


def test_no_tree_at_all(in_onnxruntime: Evaluate) -> None:
    found = in_onnxruntime(Ensemble((), targets=2), np.ones((3, 1)))
    np.testing.assert_array_equal(found, np.zeros((3, 2)))


def test_a_tree_as_deep_as_it_is_long(in_onnxruntime: Evaluate, tmp_path: Path) -> None:
    depth = 3000
    node = np.arange(2 * depth + 1)
    inner = node < depth
    left = np.where(inner, depth + 1 + node, LEAF)
    left[depth - 1] = 2 * depth
    right = np.where(inner, node + 1, LEAF)
    tree = Tree(node * 0, node.astype(float), left, right, node * 0, node.astype(float))
    rows = np.array([[-1.0], [17.5], [depth + 9.0]])
    ensemble = Ensemble((tree,), targets=1)
    np.testing.assert_array_equal(in_onnxruntime(ensemble, rows), in_numpy(ensemble, rows))
