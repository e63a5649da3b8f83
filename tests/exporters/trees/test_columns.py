from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnxpack.exporters.trees.columns import Columns
from onnxpack.exporters.trees.graph import Graph
from onnxpack.runtime.model import Model

INPUTS = [0, 1, 2.7, -0.5, -1, -7, 5, 98052, 98053, 1e30, np.inf, -np.inf, np.nan]


def write(columns: Columns, rows: np.ndarray, folder: Path) -> np.ndarray:
    graph = Graph(18)
    x = graph.input("X", np.float64, ["batch", rows.shape[1]])
    graph.output("y", columns.write(graph, x), np.float64)
    graph.save(folder / "columns.onnx")
    return Model(folder / "columns.onnx", provider="cpu").run({"X": rows})["y"]


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_sets_of_categories(tmp_path: Path, other: bool, missing: bool) -> None:
    columns = Columns(2)
    mine = columns.subset(1, [0, 2, 98052], other=other, missing=missing)
    also = columns.subset(0, [5], other=False, missing=False)
    second = columns.subset(1, [5], other=False, missing=True)
    assert (mine, also, second) == (2, 3, 4)
    assert columns.subset(1, {98052, 2, 0}, other=other, missing=missing) == mine
    rows = np.array([[value, value] for value in INPUTS], float)
    found = write(columns, rows, tmp_path)
    np.testing.assert_array_equal(found[:, :2], rows)
    inside = np.array([0, 2.7, -0.5, 98052])
    left = np.isin(rows[:, 1], inside) != other
    left[-1] = missing
    np.testing.assert_array_equal(found[:, mine], ~left)
    np.testing.assert_array_equal(found[:, also], rows[:, 0] != 5)
    np.testing.assert_array_equal(found[:, second], (rows[:, 1] != 5) & ~np.isnan(rows[:, 1]))


def test_no_sets(tmp_path: Path) -> None:
    rows = np.array([[1.0, np.nan]])
    np.testing.assert_array_equal(write(Columns(2), rows, tmp_path), rows)
