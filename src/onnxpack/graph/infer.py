"""Infer the shape of every value in a graph, at chosen sizes of its dynamic dims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from onnxpack.graph.fold import fold_shapes
from onnxpack.graph.shapes import dynamic_dims, shapes_of

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

CLASSICAL = "ai.onnx.ml"
STRING = 8
"""ONNX's number of the dtype."""
FOREIGN = {("com.microsoft", "Tokenizer"): STRING}
"""The dtype that operators of other domains make."""
KEPT_BYTES = 4096
"""Initialisers up to this size stay for shape inference: the targets of Reshape, axes, sizes."""


def at_sizes(model: ModelProto, dims: Mapping[str, int]) -> ModelProto:
    """Return a copy of the graph without weights, with functions inlined and shapes inferred.

    Every dynamic dim of the inputs has its size in ``dims``, else 1. Values whose shape cannot be
    inferred have none.
    """
    from onnx import inliner, shape_inference

    light = _without_weights(model, _sizes(model, dims))
    state_types(light.graph)
    try:
        if light.functions:
            light = inliner.inline_local_functions(light)
        if not inference_crashes(light.graph):
            light = shape_inference.infer_shapes(light, data_prop=True)
    except (shape_inference.InferenceError, RuntimeError, ValueError):
        pass  # shapes that could not be inferred stay unknown
    return light if _is_complete(light.graph) else fold_shapes(light)


def state_types(graph: GraphProto) -> None:
    """State the dtype of what operators of other domains make, where it is known and not stated."""
    from onnx import helper

    stated = {value.name for value in (*graph.value_info, *graph.output)}
    for node in graph.node:
        kind = (node.domain, node.op_type)
        for name in node.output if kind in FOREIGN else ():
            if name and name not in stated:
                value = helper.make_tensor_value_info(name, FOREIGN[kind], None)
                graph.value_info.append(value)


def inference_crashes(graph: GraphProto) -> bool:
    """Return whether shape inference would read a type that does not exist.

    onnx 1.23.2 crashes with a segmentation fault if a classical operator, such as LabelEncoder,
    takes the output of an operator of another domain, for which it knows no type.
    """
    typed = {value.name for value in graph.value_info}
    untyped: set[str] = set()
    for node in graph.node:
        if node.domain == CLASSICAL and untyped.intersection(node.input):
            return True
        if node.domain not in ("", CLASSICAL) or untyped.intersection(node.input):
            untyped.update(name for name in node.output if name not in typed)
    return False


def _is_complete(graph: GraphProto) -> bool:
    shapes = shapes_of(graph)
    made = (name for node in graph.node for name in node.output if name)
    return all(None not in shapes.get(name, (None,)) for name in made)


def _sizes(model: ModelProto, dims: Mapping[str, int]) -> dict[str, int]:
    return {name: dims.get(name, 1) for name in dynamic_dims(model)}


def _without_weights(model: ModelProto, sizes: Mapping[str, int]) -> ModelProto:
    """Return a copy with large initialisers as inputs, which have a shape and no content."""
    import onnx

    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    light.functions.extend(model.functions)
    graph = light.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.input.extend(_fixed(value, sizes, unknown=1) for value in model.graph.input)
    graph.output.extend(_fixed(value, sizes, unknown=None) for value in model.graph.output)
    foreign = {name for node in graph.node if node.domain for name in node.output}
    graph.value_info.extend(
        _fixed(value, sizes, unknown=None)
        for value in model.graph.value_info
        if value.name in foreign  # other types are inferred, whatever the file claims
    )
    inputs = {value.name for value in graph.input}
    for weight in model.graph.initializer:
        if _is_small(weight):
            graph.initializer.append(weight)
        elif weight.name not in inputs:
            graph.input.append(
                onnx.helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims)
            )
    return light


def _is_small(weight: TensorProto) -> bool:
    import onnx

    external = weight.data_location == onnx.TensorProto.EXTERNAL
    return not external and weight.ByteSize() <= KEPT_BYTES


def _fixed(
    value: ValueInfoProto, sizes: Mapping[str, int], *, unknown: int | None
) -> ValueInfoProto:
    """Return the value with a fixed size for every dim, or without a shape if a size is unknown."""
    import onnx

    fixed = onnx.ValueInfoProto()
    fixed.CopyFrom(value)
    tensor = fixed.type.tensor_type
    for dim in tensor.shape.dim if tensor.HasField("shape") else ():
        if dim.HasField("dim_value"):
            continue
        size = sizes.get(dim.dim_param, unknown)
        if size is None:
            tensor.ClearField("shape")
            break
        dim.dim_value = size
    return fixed
