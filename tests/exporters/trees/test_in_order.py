from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.exporters.trees.conftest import grow, in_numpy

from onnxpack.exporters.trees.ensemble import LEAF, Ensemble, Tree
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.in_order import add_in_order
from onnxpack.runtime.model import Model


def run(ensemble: Ensemble, rows: np.ndarray, folder: Path) -> np.ndarray:
    graph = Graph(18)
    x = graph.input("X", np.float64, ["batch", rows.shape[1]])
    graph.output("y", add_in_order(graph, x, ensemble), np.float64)
    graph.save(folder / "trees.onnx")
    return Model(folder / "trees.onnx", provider="cpu").run({"X": rows})["y"]


@pytest.mark.parametrize("rows", [1, 60, 700])
@pytest.mark.parametrize("width", [1, 3])
def test_to_the_last_bit(tmp_path: Path, rows: int, width: int) -> None:
    random = np.random.default_rng(rows)
    trees = tuple(
        grow(random, 4, 4, width=width, target=at % 3 if width == 1 else 0) for at in range(90)
    )
    ensemble = Ensemble(trees, targets=3)
    given = random.normal(size=(rows, 4))
    np.testing.assert_array_equal(run(ensemble, given, tmp_path), in_numpy(ensemble, given))


def test_it_adds_as_a_loop_does(tmp_path: Path) -> None:
    terms = [0.1, 0.2, 0.7, 1e16, -1e16]
    trees = tuple(Tree([0], [0], [LEAF], [LEAF], [0], [term]) for term in terms)
    found = run(Ensemble(trees, targets=1), np.ones((2, 1)), tmp_path)
    assert found.tolist() == [[sum(terms)]] * 2
    assert sum(terms) != sum(terms[::-1])


def test_trees_out_of_turn(tmp_path: Path) -> None:
    leaf = Tree([0], [0], [LEAF], [LEAF], [0], [1.0], target=1)
    with pytest.raises(ValueError, match="one target after the other"):
        run(Ensemble((leaf, leaf), targets=2), np.ones((1, 1)), tmp_path)
