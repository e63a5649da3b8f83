"""Read the shapes that a graph states for its values."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TypeProto

Shape: TypeAlias = tuple[int | None, ...]
"""A shape; None stands for an unknown size."""


def shapes_of(graph: GraphProto) -> dict[str, Shape]:
    """Return the shapes that a graph states for its values, by name."""
    known: dict[str, Shape] = {}
    for value in [*graph.input, *graph.output, *graph.value_info]:
        shape = shape_of(value.type)
        if shape is not None:
            known[value.name] = shape
    return known | {weight.name: tuple(weight.dims) for weight in graph.initializer}


def shape_of(kind: TypeProto) -> Shape | None:
    """Return the shape that a type states; None if it states none, or is not a tensor type."""
    if not kind.tensor_type.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None
        for dim in kind.tensor_type.shape.dim
    )


def dynamic_dims(model: ModelProto) -> tuple[str, ...]:
    """Return the names of the dynamic dims of the inputs, in order of appearance."""
    weights = {weight.name for weight in model.graph.initializer}
    return tuple(
        dict.fromkeys(
            dim.dim_param
            for value in model.graph.input
            if value.name not in weights
            for dim in value.type.tensor_type.shape.dim
            if dim.dim_param
        )
    )
