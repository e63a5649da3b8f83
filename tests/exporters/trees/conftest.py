"""Trees that are evaluated in numpy, one row at a time, and graphs of them in onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onnxpack.exporters.trees.ensemble import LEAF, Ensemble, Mode, Tree
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.write import add_ensemble
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

Evaluate = Callable[[Ensemble, Array], Array]


def grow(
    random: np.random.Generator, features: int, depth: int, *, width: int = 1, target: int = 0
) -> Tree:
    """A random tree of at most this depth, its nodes numbered in no order."""
    nodes: list[list[float]] = []
    values: list[Array] = []

    def sprout(level: int) -> int:
        here = len(nodes)
        leaf = level == depth or random.random() < 0.15
        threshold = random.choice([0.0, 0.1, 1e-40, -1.5, 3e38, random.normal()])
        nodes.append([random.integers(features), threshold, LEAF, LEAF, random.random() < 0.5])
        values.append(random.normal(size=width) * random.choice([0, 1, 1e-3]))
        if not leaf:
            sides = [sprout(level + 1) for _ in range(2)]
            nodes[here][2:4] = sides if random.random() < 0.5 else sides[::-1]
        return here

    sprout(0)
    feature, threshold, left, right, missing = zip(*nodes, strict=True)
    return Tree(feature, threshold, left, right, missing, values, target)


def reach(tree: Tree, row: Array, mode: Mode) -> int:
    node = 0
    while tree.left[node] != LEAF:
        x, t = float(row[tree.feature[node]]), float(tree.threshold[node])
        if np.isnan(x):
            left = bool(tree.missing_left[node])
        else:
            left = x <= t if mode is Mode.LEQ else x < t
        node = int(tree.left[node] if left else tree.right[node])
    return node


def in_numpy(ensemble: Ensemble, rows: Array) -> Array:
    """The plain meaning of an ensemble."""
    total = np.zeros((len(rows), ensemble.targets))
    for number, row in enumerate(rows):
        for tree in ensemble.trees:
            added = tree.value[reach(tree, row, ensemble.mode)]
            total[number, tree.target : tree.target + len(added)] += added
    return total


@pytest.fixture
def in_onnxruntime(tmp_path: Path) -> Evaluate:
    def evaluate(ensemble: Ensemble, rows: Array) -> Array:
        graph = Graph(18)
        x = graph.input("X", rows.dtype, ["batch", rows.shape[1]])
        y = add_ensemble(graph, graph.cast(x, np.float64), ensemble)
        graph.output("y", y, np.float64)
        graph.save(tmp_path / "trees.onnx")
        return Model(tmp_path / "trees.onnx", provider="cpu").run({"X": rows})["y"]

    return evaluate
