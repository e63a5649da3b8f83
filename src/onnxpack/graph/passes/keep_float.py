"""Keep layers in float32 between int8 layers, against ONNX Runtime's own quantisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from onnxpack.signature import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

LAYERS = ("Conv", "ConvTranspose", "Gemm")
PREFIX = "onnxpack_float"
MIN_OPSET = 13
"""The first opset in which DequantizeLinear takes an axis."""


def keep_float(model: ModelProto) -> int:
    """Give each float32 layer after a DequantizeLinear its own one, with a scale for each channel.

    ONNX Runtime 1.32 quantises the weights of such a layer when it loads the graph, with one scale
    for all channels, if what follows the layer is quantised (``WeightBiasQuantization``, an
    optimisation of the basic level). So a layer that is left in float32 because int8 hurts it is
    hurt more: in EfficientNet-lite0 with its worst layer left out, answers were off by 0.40 of
    their length instead of 0.11. ONNX Runtime does so only if the layer's input has one scale. A
    scale for each channel, all of them equal, changes no answer and keeps the weights unchanged.

    Returns:
        The number of layers that were given one.
    """
    from onnx import helper, numpy_helper

    opset = next((each.version for each in model.opset_import if not each.domain), 0)
    if opset < MIN_OPSET:
        return 0
    graph = model.graph
    weights = {each.name: each for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    nodes: list[NodeProto] = []
    count = 0
    for node in graph.node:
        before = makers.get(node.input[0]) if node.input else None
        if before is not None and _is_float(node, weights) and _has_one_scale(before, weights):
            channels = _channels(node, numpy_helper.to_array(weights[node.input[1]]))
            names = [before.input[0]]
            for kind, name in zip(("scale", "zero"), before.input[1:], strict=False):
                one = numpy_helper.to_array(weights[name])
                all_ = np.full(channels, one.item(), one.dtype)
                names.append(f"{PREFIX}_{count}_{kind}")
                graph.initializer.append(numpy_helper.from_array(all_, names[-1]))
            made = f"{PREFIX}_{count}"
            nodes.append(helper.make_node("DequantizeLinear", names, [made], name=made, axis=1))
            node.input[0] = made
            count += 1
        nodes.append(node)
    used = {name for node in nodes for name in node.input} | {out.name for out in graph.output}
    del graph.node[:]
    graph.node.extend(
        node for node in nodes if node.op_type != "DequantizeLinear" or used & set(node.output)
    )
    return count


def _is_float(node: NodeProto, weights: Mapping[str, TensorProto]) -> bool:
    if node.op_type not in LAYERS or len(node.input) < 2 or node.input[1] not in weights:
        return False
    return not any(each.name == "transA" and each.i for each in node.attribute)


def _has_one_scale(node: NodeProto, weights: Mapping[str, TensorProto]) -> bool:
    from onnx import numpy_helper

    if node.op_type != "DequantizeLinear" or any(name not in weights for name in node.input[1:]):
        return False
    return all(numpy_helper.to_array(weights[name]).size == 1 for name in node.input[1:])


def _channels(node: NodeProto, weight: Array) -> int:
    """Return the length of the layer's input along axis 1."""
    attributes = {each.name: int(each.i) for each in node.attribute}
    if node.op_type == "Conv":
        return int(weight.shape[1]) * attributes.get("group", 1)
    across = node.op_type == "Gemm" and attributes.get("transB", 0)
    return int(weight.shape[1] if across else weight.shape[0])
