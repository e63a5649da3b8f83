"""Rank layers by their loss in int8; the most sensitive ones are left in float32 first.

For each layer, only this layer is computed as int8 would compute it: its input is rounded to 8 bits
over the range measured on a few rows, its weights to 8 bits per channel. Then the error of the
graph's answer is measured. NNCF's accuracy control judges layers one by one in the same way
(https://docs.openvino.ai, "Quantizing with accuracy control"). One graph contains both forms of
every layer with a switch for each, so that it is loaded only once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxpack.comparison.distance import distance
from onnxpack.graph.passes.attempt import name_nodes
from onnxpack.runtime.catalog import CPU
from onnxpack.runtime.session import open_session, run
from onnxpack.signature import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

OPERATORS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators that are quantised and that determine the speed."""
ROWS = 4
"""Rows used: a few show which layers are worst, and the rows that judge check the result."""
SWITCH = "onnxpack_switch"
STEPS = 255


def rank_layers(graph: Path, feeds: Iterable[Mapping[str, Array]], *, threads: int) -> list[str]:
    """Return the names of the layers, the most sensitive first.

    Args:
        graph: path of the float32 graph.
        feeds: an array for each input; only the first few feeds are used.
        threads: threads of one operator.
    """
    import onnx

    given = list(islice(feeds, ROWS))
    model = onnx.load(graph)
    name_nodes(model)
    layers = [node for node in model.graph.node if node.op_type in OPERATORS]
    with TemporaryDirectory() as folder:
        ranges = _measure_ranges(graph, layers, given, Path(folder), threads)
        layers = [node for node in layers if node.input[0] in ranges]
        _add_switches(model, layers, ranges)
        switched = Path(folder) / "switched.onnx"
        onnx.save(model, switched, save_as_external_data=True, location="switched.data")
        session = open_session(switched, [CPU], threads=threads)
        loss = _measure_losses(session, len(layers), given)
    ranked = sorted(zip(loss, (node.name for node in layers), strict=True), reverse=True)
    return [name for _, name in ranked]


def _measure_losses(session: Any, layers: int, feeds: Sequence[Mapping[str, Array]]) -> Array:
    """Return the error of the answer for each layer, with only this layer in int8."""
    none = np.zeros(layers, bool)
    expected = [run(session, [], {**feed, SWITCH: none}, "cpu") for feed in feeds]
    loss = np.zeros(layers)
    for layer in range(layers):
        switch = np.arange(layers) == layer
        for feed, wanted in zip(feeds, expected, strict=True):
            found = run(session, [], {**feed, SWITCH: switch}, "cpu")
            loss[layer] += max(map(distance, wanted, found), default=0.0)
    return loss


def _measure_ranges(
    graph: Path,
    layers: Sequence[NodeProto],
    feeds: Sequence[Mapping[str, Array]],
    folder: Path,
    threads: int,
) -> dict[str, tuple[float, float]]:
    """Return the smallest and the largest number in each layer's input; the range includes 0."""
    import onnx
    from onnx import helper

    model = onnx.load(graph)
    given = {value.name for value in model.graph.input}
    fixed = {weight.name for weight in model.graph.initializer}
    wanted = dict.fromkeys(node.input[0] for node in layers if node.input[0] not in fixed)
    shown = [name for name in wanted if name not in given]
    outputs = {value.name for value in model.graph.output}
    model.graph.output.extend(
        helper.make_empty_tensor_value_info(name) for name in shown if name not in outputs
    )
    path = folder / "shown.onnx"
    onnx.save(model, path, save_as_external_data=True, location="shown.data")
    session = open_session(path, [CPU], threads=threads)
    ranges: dict[str, tuple[float, float]] = {}
    for feed in feeds:
        found = dict(zip(shown, run(session, shown, feed, "cpu"), strict=True))
        for name in wanted:
            array = found[name] if name in found else feed[name]
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, float(array.min())), max(high, float(array.max()))
    return ranges


def _add_switches(
    model: ModelProto, layers: Sequence[NodeProto], ranges: Mapping[str, tuple[float, float]]
) -> None:
    """Add an int8 form to each layer, with a switch between the two forms."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    weights = {weight.name: weight for weight in graph.initializer}
    places = {node.name: at for at, node in enumerate(layers)}
    nodes: list[NodeProto] = []

    def constant(name: str, array: Array) -> str:
        graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    for node in list(graph.node):
        if node.name in places:
            prefix, x = f"onnxpack_{places[node.name]}", node.input[0]
            low, high = ranges[x]
            step = np.float32((high - low) / STEPS or 1.0)
            zero = np.uint8(np.clip(round(-low / float(step)), 0, STEPS))
            pair = [
                constant(f"{prefix}_step", np.asarray(step)),
                constant(f"{prefix}_zero", np.asarray(zero)),
            ]
            place = constant(f"{prefix}_place", np.array(places[node.name], np.int64))
            nodes += [
                helper.make_node("Gather", [SWITCH, place], [f"{prefix}_on"]),
                helper.make_node("QuantizeLinear", [x, *pair], [f"{prefix}_bytes"]),
                helper.make_node("DequantizeLinear", [f"{prefix}_bytes", *pair], [f"{prefix}_r"]),
                helper.make_node("Where", [f"{prefix}_on", f"{prefix}_r", x], [f"{prefix}_x"]),
            ]
            node.input[0] = f"{prefix}_x"
            if node.input[1] in weights:
                weight = numpy_helper.to_array(weights[node.input[1]])
                rounded = constant(f"{prefix}_w8", _rounded(weight, node))
                choice = [f"{prefix}_on", rounded, node.input[1]]
                nodes.append(helper.make_node("Where", choice, [f"{prefix}_w"]))
                node.input[1] = f"{prefix}_w"
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(SWITCH, TensorProto.BOOL, [len(layers)]))


def _rounded(weight: Array, node: NodeProto) -> Array:
    """Return a weight rounded to 8 bits, with a scale for each channel."""
    transposed = any(each.name == "transB" and each.i for each in node.attribute)
    channel = 0 if node.op_type.startswith("Conv") or transposed else weight.ndim - 1
    others = tuple(axis for axis in range(weight.ndim) if axis != channel)
    step = np.abs(weight).max(axis=others, keepdims=True) / (STEPS // 2)
    with np.errstate(all="ignore"):
        return np.where(step > 0, np.round(weight / step) * step, weight).astype(weight.dtype)
