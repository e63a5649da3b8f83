"""The nearest points by a shortlist, against all distances, feature after feature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from onnxpack.exporters.sklearn import nearest
from onnxpack.exporters.sklearn.nearest import nearest_squares
from onnxpack.exporters.sklearn.tensor import Graph
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

POINTS = np.random.default_rng(0).normal(size=(300, 4))


def in_graph(folder: Path, rows: Array, points: Array, count: int) -> tuple[Array, Array]:
    graph = Graph(18)
    x = graph.input("x", rows.dtype.name, ["batch", rows.shape[1]])
    near, places = nearest_squares(x.cast("float64"), points, count)
    graph.save(folder / "graph.onnx", {"near": near, "places": places})
    found = Model(folder / "graph.onnx", provider="cpu").run({"x": rows})
    return found["near"], found["places"]


def in_numpy(rows: Array, points: Array, count: int) -> tuple[Array, Array]:
    far = np.zeros((len(rows), len(points)))
    for at in range(points.shape[1]):
        far = far + (rows[:, at : at + 1].astype(np.float64) - points[None, :, at]) ** 2
    places = np.argsort(far, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(far, places, 1), places


@pytest.mark.parametrize("at_once", [1, 3000, 2**23])
@pytest.mark.parametrize("rows", [0, 1, 7, 50])
def test_any_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int, rows: int
) -> None:
    monkeypatch.setattr(nearest, "AT_ONCE", at_once)
    given = np.random.default_rng(1).normal(size=(rows, 4)).astype(np.float32)
    for found, wanted in zip(
        in_graph(tmp_path, given, POINTS, 5), in_numpy(given, POINTS, 5), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "points",
    [
        np.round(POINTS),  # many equal distances, more than the shortlist has room for
        np.round(POINTS, 1) + 1e6,  # differences that a product of matrices rounds away
        np.repeat(POINTS[:10], 30, axis=0),
        POINTS * 1e-160,
        POINTS[:40],
        POINTS[:5],
    ],
    ids=["ties", "far from zero", "repeated", "tiny", "few", "as many as wanted"],
)
def test_hard_points(tmp_path: Path, points: Array) -> None:
    given = points[::3] + np.random.default_rng(2).integers(0, 2, points[::3].shape)
    for found, wanted in zip(
        in_graph(tmp_path, given, points, 5), in_numpy(given, points, 5), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def test_all_distances_are_never_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row at a time where the points alone are as many as fit."""
    monkeypatch.setattr(nearest, "AT_ONCE", len(POINTS))
    in_graph(tmp_path, POINTS[:9], POINTS, 5)
    model = onnx.load(tmp_path / "graph.onnx")
    (loop,) = [node for node in model.graph.node if node.op_type == "Loop"]
    body = next(each.g for each in loop.attribute if each.name == "body")
    assert "MatMul" in {node.op_type for node in body.node}
    assert "MatMul" not in {node.op_type for node in model.graph.node}
