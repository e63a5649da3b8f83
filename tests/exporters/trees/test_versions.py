"""Trees of both versions of ai.onnx.ml in one graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.exporters.trees.conftest import grow, in_numpy

from onnxpack.exporters.trees.ensemble import Ensemble, Mode
from onnxpack.exporters.trees.graph import Graph
from onnxpack.exporters.trees.write import add_ensemble
from onnxpack.runtime.model import Model

FEATURES = 5


def ensemble(seed: int, targets: int, mode: Mode = Mode.LEQ) -> Ensemble:
    random = np.random.default_rng(seed)
    return Ensemble(
        tuple(grow(random, FEATURES, 4, width=targets) for _ in range(7)), targets, mode
    )


@pytest.mark.parametrize("order", [(1, 2), (3, 1), (1, 2, 1), (1,), (2, 3)])
@pytest.mark.parametrize("mode", Mode)
def test_any_mix(tmp_path: Path, order: tuple[int, ...], mode: Mode) -> None:
    """onnxruntime 1.32 refuses TreeEnsembleRegressor beside TreeEnsemble."""
    ensembles = [ensemble(seed, targets, mode) for seed, targets in enumerate(order)]
    rows = np.random.default_rng(9).normal(size=(30, FEATURES))
    rows[::3, 1] = np.nan
    graph = Graph(18)
    x = graph.input("X", np.float64, ["batch", FEATURES])
    for number, each in enumerate(ensembles):
        graph.output(f"y{number}", add_ensemble(graph, x, each), np.float64)
    graph.save(tmp_path / "mixed.onnx")
    found = Model(tmp_path / "mixed.onnx", provider="cpu").run({"X": rows})
    for number, each in enumerate(ensembles):
        np.testing.assert_allclose(found[f"y{number}"], in_numpy(each, rows), rtol=0, atol=1e-11)
    versions = {
        each.domain: each.version for each in onnx.load(tmp_path / "mixed.onnx").opset_import
    }
    assert versions["ai.onnx.ml"] == (5 if set(order) == {1} else 3)


def test_sums_are_the_same_on_any_number_of_threads(tmp_path: Path) -> None:
    each, rows = ensemble(1, 1), np.random.default_rng(2).normal(size=(200, FEATURES))
    graph = Graph(18)
    x = graph.input("X", np.float64, ["batch", FEATURES])
    graph.output("y", add_ensemble(graph, x, each), np.float64)
    graph.save(tmp_path / "trees.onnx")
    one, two = (
        Model(tmp_path / "trees.onnx", provider="cpu", threads=threads).run({"X": rows})["y"]
        for threads in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one, in_numpy(each, rows), rtol=0, atol=1e-14)
