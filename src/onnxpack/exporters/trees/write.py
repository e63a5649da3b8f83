"""Write an ensemble as one operator with exact sums.

Sums of one target are a ``TreeEnsemble`` of ai.onnx.ml 5: its thresholds, leaves and sums are
float64. onnxruntime 1.20 and later have it. Each of its leaves adds to one target only, so sums of
several targets are a ``TreeEnsembleRegressor`` of ai.onnx.ml 3. That operator gives float32, so
each weight is written in two parts, which takes up to three times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import numpy_helper

from onnxpack.exporters.trees.ensemble import LEAF, Ensemble, Mode, Tree
from onnxpack.exporters.trees.graph import ML, Graph
from onnxpack.signature import Array

GRID = 2.0**-22
"""The larger part of each weight is a multiple of this fraction of the largest sum. All sums of
such multiples fit into float32, so the operator returns them exactly."""

FINE = 2.0**-52
"""The same fraction for sums in float64."""
LARGEST_EXPONENT = 1000.0
"""Largest exponent of the unit. Leaves of 1e300 are not scaled further, with the same answer or
none."""
_INNER = (
    "nodes_featureids",
    "nodes_missing_value_tracks_true",
    "nodes_truenodeids",
    "nodes_trueleafs",
    "nodes_falsenodeids",
    "nodes_falseleafs",
    "nodes_splits",
)
_MODES = {Mode.LEQ: 0, Mode.LT: 1}
STUMP = Tree([0, 0, 0], [0, 0, 0], [1, LEAF, LEAF], [2, LEAF, LEAF], [0, 0, 0], [0, 0, 0])
"""A tree for ensembles without a split: the operators need at least one."""


def add_ensemble(graph: Graph, x: str, ensemble: Ensemble) -> str:
    """Write the sum of the leaves that each row reaches: float64 [batch, targets].

    The sum is exact, so it does not depend on the order: onnxruntime 1.32 divides the trees between
    threads, and a label that depends on the last bit would depend on their number.

    Args:
        graph: the graph to add it to.
        x: the matrix of columns, float64 [batch, columns].
        ensemble: the trees; their ``feature`` is a column of ``x``.
    """
    if ensemble.targets > 1:
        return add_by_halves(graph, x, ensemble)
    trees = _split_trees(ensemble)
    unit = _unit(trees)
    usual = FINE < unit < 1 / FINE  # else FINE of it could be too small for float64
    attributes = _single(trees, ensemble.mode, unit, stored=unit if usual else 1.0)
    found = graph.add(
        "TreeEnsemble",
        x,
        domain=ML,
        n_targets=1,
        aggregate_function=1,  # the sum
        post_transform=0,
        **attributes,
    )
    if not usual:
        found = graph.add("Mul", found, graph.constant(unit, np.float64))
    constant = _constant_sum(ensemble)
    return graph.add("Add", found, graph.constant(constant)) if constant.any() else found


def add_by_halves(graph: Graph, x: str, ensemble: Ensemble) -> str:
    """Write the same sum with every weight in two parts, for any number of targets."""
    trees = _split_trees(ensemble)
    unit = _unit(trees)
    attributes = {**_nodes(trees, ensemble.mode.value), **_weights(trees, ensemble.targets, unit)}
    parts = graph.cast(
        graph.add(
            "TreeEnsembleRegressor",
            x,
            domain=ML,
            n_targets=2 * ensemble.targets,
            aggregate_function="SUM",
            post_transform="NONE",
            **attributes,
        ),
        np.float64,
    )
    split = graph.constant([ensemble.targets, ensemble.targets])
    total = graph.add("Add", *graph.add_many("Split", parts, split, outputs=2, axis=1))
    scaled = graph.add("Mul", total, graph.constant(unit, np.float64))
    return graph.add("Add", scaled, graph.constant(_constant_sum(ensemble)))


def _split_trees(ensemble: Ensemble) -> list[Tree]:
    """Return the trees with a split; the operators take at least one."""
    return [tree for tree in ensemble.trees if not tree.is_constant] or [STUMP]


def _single(trees: list[Tree], mode: Mode, unit: float, *, stored: float) -> dict[str, Any]:
    """Return the attributes of ``TreeEnsemble``, which counts inner nodes and leaves separately.

    Args:
        unit: the power of two that no sum exceeds; weights become multiples of ``FINE`` of it.
        stored: the factor of the fractions of ``unit``; a power of two.
    """
    columns: dict[str, list[Array]] = {name: [] for name in (*_INNER, "weight")}
    roots, inner_count, leaf_count = [], 0, 0
    for tree in trees:
        leaf, inner = tree.leaves, ~tree.leaves
        place = np.where(leaf, np.cumsum(leaf) - 1 + leaf_count, np.cumsum(inner) - 1 + inner_count)
        left, right = tree.left[inner], tree.right[inner]
        found = (
            tree.feature[inner], tree.missing_left[inner], place[left], leaf[left], place[right],
            leaf[right], tree.threshold[inner], tree.value[leaf, 0],
        )  # fmt: skip
        for name, values in zip(columns, found, strict=True):
            columns[name].append(values)
        roots.append(inner_count)
        inner_count, leaf_count = inner_count + int(inner.sum()), leaf_count + int(leaf.sum())
    joined = {name: np.concatenate(values) for name, values in columns.items()}
    weight, splits = joined.pop("weight"), joined.pop("nodes_splits")
    weight = np.round(weight / unit / FINE) * FINE * stored
    return {
        "tree_roots": roots,
        **{name: values.astype(int).tolist() for name, values in joined.items()},
        "nodes_splits": numpy_helper.from_array(splits),
        "nodes_modes": numpy_helper.from_array(np.full(inner_count, _MODES[mode], np.uint8)),
        "leaf_targetids": [0] * leaf_count,
        "leaf_weights": numpy_helper.from_array(weight),
    }


def _unit(trees: list[Tree]) -> float:
    """Return a power of two that no sum of leaves exceeds."""
    largest = sum(float(np.abs(tree.value[tree.leaves]).max(initial=0)) for tree in trees)
    exponent = np.ceil(np.log2(largest)) if largest else 0.0
    return float(2.0 ** min(exponent, LARGEST_EXPONENT))


def _constant_sum(ensemble: Ensemble) -> Array:
    """Return the sum of the trees without a split."""
    total = np.zeros((1, ensemble.targets))
    for tree in ensemble.trees:
        if tree.is_constant:
            total[0, tree.target : tree.target + tree.value.shape[1]] += tree.value[0]
    return total


def _nodes(trees: list[Tree], mode: str) -> dict[str, Any]:
    """Return the structure of the trees as the operator's attributes."""
    sizes = [len(tree.left) for tree in trees]
    leaf = np.concatenate([tree.leaves for tree in trees])

    def joined(name: str) -> Array:
        return np.where(leaf, 0, np.concatenate([getattr(tree, name) for tree in trees]))

    return {
        "nodes_treeids": np.repeat(np.arange(len(trees)), sizes).tolist(),
        "nodes_nodeids": np.concatenate([np.arange(size) for size in sizes]).tolist(),
        "nodes_featureids": joined("feature").tolist(),
        "nodes_modes": np.where(leaf, "LEAF", mode).tolist(),
        "nodes_truenodeids": joined("left").tolist(),
        "nodes_falsenodeids": joined("right").tolist(),
        "nodes_missing_value_tracks_true": joined("missing_left").astype(int).tolist(),
        "nodes_values_as_tensor": numpy_helper.from_array(joined("threshold")),
    }


def _weights(trees: list[Tree], targets: int, unit: float) -> dict[str, Any]:
    """Return every leaf's weights: the targets' large parts, then their small parts."""
    rows = [_leaf_weights(tree, targets, unit) for tree in trees]
    nodes, ids, weights = (np.concatenate(column) for column in zip(*rows, strict=True))
    return {
        "target_treeids": np.repeat(np.arange(len(trees)), [len(row[0]) for row in rows]).tolist(),
        "target_nodeids": nodes.tolist(),
        "target_ids": ids.tolist(),
        "target_weights_as_tensor": numpy_helper.from_array(weights),
    }


def _leaf_weights(tree: Tree, targets: int, unit: float) -> tuple[Array, Array, Array]:
    """Return node, target and weight; a leaf's zeros are left out, except its first."""
    leaves = np.flatnonzero(tree.leaves)
    whole = tree.value[leaves] / unit
    large = np.round(whole / GRID) * GRID
    parts = np.concatenate((large, whole - large), axis=1)
    first = tree.target + np.arange(tree.value.shape[1])
    ids = np.concatenate((first, first + targets))
    kept = parts != 0
    kept[:, 0] = True
    row, column = np.nonzero(kept)
    return leaves[row], ids[column], parts[row, column]
