"""Weights in a file of pages."""

from __future__ import annotations

import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from onnxpack.graph.passes.external import PAGE, move_weights


def test_each_weight_begins_on_a_page(products, tmp_path):
    to = tmp_path / "made" / "model.onnx"
    step = move_weights(products, to)
    model = onnx.load(to, load_external_data=False)
    moved = [weight for weight in model.graph.initializer if uses_external_data(weight)]
    assert [weight.name for weight in moved] == ["w1"]
    assert step.options["tensors"] == 1
    for weight in moved:
        info = ExternalDataInfo(weight)
        assert (info.offset % PAGE, info.location) == (0, "model.onnx.data")
    assert not any(node.name for node in model.graph.node)


def test_it_is_the_same_each_time(products, tmp_path):
    made = []
    for name in ("one", "two"):
        move_weights(products, tmp_path / name / "model.onnx")
        made.append([file.read_bytes() for file in sorted((tmp_path / name).iterdir())])
    assert made[0] == made[1]


def test_weights_that_were_beside_the_graph_already(products, tmp_path, feeds, answers):
    first, second = tmp_path / "one" / "model.onnx", tmp_path / "two" / "model.onnx"
    move_weights(products, first)
    move_weights(first, second)
    feed = feeds(products, 1)[0]
    assert (answers(second, feed)["y"] == answers(products, feed)["y"]).all()
