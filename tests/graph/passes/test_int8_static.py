"""Calibration: methods, feeds of different sizes, and what of a transformer is quantised."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from onnxpack.errors import OptimizeError, UsageError
from onnxpack.graph.passes.int8_static import quantize_static


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_feeds_are_counted_and_need_not_be_of_one_size(method, products, tmp_path):
    def rows():
        for count in (1, 3, 2):
            ones = np.ones((count, 3), np.int64)
            yield {"x": np.random.default_rng(0).random((count, 64), np.float32), "unread": ones}

    to = tmp_path / "made" / "model.onnx"
    step = quantize_static(products, to, rows(), method=method)
    assert (step.options["rows"], step.options["method"]) == (3, method)
    nodes = onnx.load(to).graph.node
    assert any(node.op_type == "QuantizeLinear" for node in nodes)


def test_an_outlier_is_left_out_by_percentile_only(convolutions, tmp_path):
    """One value in 300,000 is 1,000 times as bright as the others."""
    random = np.random.default_rng(0)
    feeds = [{"x": random.random((1, 3, 16, 16), np.float32)} for _ in range(400)]
    feeds[0]["x"][0, 0, 0, 0] = 1000
    scales = {}
    for method in ("minmax", "percentile"):
        to = tmp_path / method / "model.onnx"
        quantize_static(convolutions, to, feeds, method=method)
        loaded = {w.name: w for w in onnx.load(to).graph.initializer}
        scales[method] = float(onnx.numpy_helper.to_array(loaded["x_scale"]))
    assert scales["percentile"] < scales["minmax"] / 10


def test_the_method_must_be_known(products, tmp_path):
    with pytest.raises(UsageError, match="'max', expected one of minmax, entropy, percentile"):
        quantize_static(products, tmp_path / "model.onnx", [], method="max")


@pytest.mark.parametrize("method", ["minmax", "percentile"])
def test_masks_of_attention_are_left_alone(method, encoder, tmp_path, answers):
    """They reach the smallest float32: a range of them leaves nothing for the scores."""
    ids = np.arange(12).reshape(1, 12)
    feed = {"input_ids": ids, "attention_mask": ids % 4 > 0, "token_type_ids": ids * 0}
    feed = {name: array.astype(np.int64) for name, array in feed.items()}
    to = tmp_path / "made" / "model.onnx"
    step = quantize_static(encoder.model_path, to, [feed] * 3, method=method)
    assert step.options["operators"] == ["Conv", "Gemm", "MatMul"]
    wanted = answers(encoder.model_path, feed)["last_hidden_state"]
    found = answers(to, feed)["last_hidden_state"]
    assert np.linalg.norm(found - wanted) < 0.2 * np.linalg.norm(wanted)


@pytest.mark.parametrize("exclude", [(), ("fc",)])
def test_a_product_that_takes_its_bias_in_is_still_excluded(
    exclude, tmp_path, floats, graph, value
):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="fc"),
        helper.make_node("Add", ["a", "b"], ["y"], name="bias"),
    ]
    weights = {"w": floats(64, 8), "b": floats(8)}
    model = graph(nodes, [value("x", "rows", 64)], [value("y", "rows", 8)], weights)
    source, to = tmp_path / "model.onnx", tmp_path / "made" / "model.onnx"
    onnx.save(model, source)
    feeds = [{"x": floats(1, 64)} for _ in range(4)]
    if exclude:
        with pytest.raises(OptimizeError, match=r"no node of model\.onnx can be quantised"):
            quantize_static(source, to, feeds, exclude=exclude, operators=["Gemm", "MatMul"])
    else:
        quantize_static(source, to, feeds, operators=["Gemm", "MatMul"])
        assert "w" not in {weight.name for weight in onnx.load(to).graph.initializer}
