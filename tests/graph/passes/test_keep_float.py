"""A layer that is left in float32 keeps its weights in ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from onnxpack.graph.passes.int8_static import quantize_static

CHANNELS = 6


def _layers(kind, floats):
    """Three layers and their activations; the channels of the middle one differ in size."""
    size = 10.0 ** np.arange(-2, CHANNELS - 2)
    if kind == "Gemm":
        weights = {f"w{at}": floats(CHANNELS, CHANNELS) + at for at in range(3)}
        weights["w1"] = (weights["w1"] * size).astype(np.float32)
        shape = (1, CHANNELS)
    else:
        weights = {f"w{at}": floats(CHANNELS, CHANNELS, 1, 1) + at for at in range(3)}
        weights["w1"] = (weights["w1"] * size.reshape(-1, 1, 1, 1)).astype(np.float32)
        shape = (1, CHANNELS, 4, 4)
    weights |= {f"b{at}": floats(CHANNELS) + at for at in range(3)}
    nodes, last = [], "x"
    for at in range(3):
        inputs = [last, f"w{at}", f"b{at}"]
        nodes.append(helper.make_node(kind, inputs, [f"a{at}"], name=f"layer{at}"))
        nodes.append(helper.make_node("Relu", [f"a{at}"], [f"r{at}"], name=f"relu{at}"))
        last = f"r{at}"
    return nodes, weights, shape, last


@pytest.mark.parametrize("kind", ["Conv", "Gemm"])
def test_weights_are_not_quantised_when_the_graph_is_loaded(kind, tmp_path, floats, graph, value):
    import onnxruntime as ort

    nodes, weights, shape, last = _layers(kind, floats)
    model = graph(nodes, [value("x", *shape)], [value(last, *shape)], weights)
    source, to = tmp_path / "model.onnx", tmp_path / "made" / "model.onnx"
    onnx.save(model, source)
    feeds = [{"x": floats(*shape) * scale} for scale in (0.5, 1.0, 2.0)]
    quantize_static(source, to, feeds, exclude=["layer1"])
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")
    ort.InferenceSession(to, options)
    loaded = onnx.load(options.optimized_model_filepath).graph
    layer = next(node for node in loaded.node if node.name == "layer1")
    assert layer.input[1] in {weight.name for weight in loaded.initializer}
