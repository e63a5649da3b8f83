"""Find shapes that a graph computes at run time, by evaluating the computation.

ONNX's own shape inference follows some arithmetic on shapes and gives up on the rest. Exporters
write much of it, so unknown shapes are visited again, node by node: nodes with small known inputs
are evaluated by ONNX's reference implementation, and shape inference uses the results.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from onnxpack.graph.read import operator
from onnxpack.graph.shapes import Shape, shape_of
from onnxpack.signature import Array

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto, TypeProto

MAX_ELEMENTS = 1024
MAX_RANK = 2
"""Values with more elements or axes are not shapes; broadcasting them could grow without limit."""

MAX_NODES = 100_000
"""A larger graph keeps its unknown shapes: finding them is not worth minutes."""

_EVALUATED = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "Cast",
        "Ceil",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "CumSum",
        "Div",
        "Equal",
        "Expand",
        "Floor",
        "Gather",
        "Greater",
        "GreaterOrEqual",
        "Identity",
        "Less",
        "LessOrEqual",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pow",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Reshape",
        "Size",
        "Slice",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    ]
)
"""The operators that exporters compute shapes with."""

_GROWING = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1}
"""The input whose product limits the output's size, for each operator that can grow a value."""


def fold_shapes(model: ModelProto) -> ModelProto:
    """Return a copy of the graph with every shape that could be found."""
    import onnx

    if len(model.graph.node) > MAX_NODES:
        return model
    folder = _Folder(model)
    for node in model.graph.node:
        folder.visit(node)
    stated = onnx.ModelProto()
    stated.CopyFrom(model)
    del stated.graph.value_info[:]
    made = {name for node in model.graph.node for name in node.output if name}
    stated.graph.value_info.extend(
        onnx.ValueInfoProto(name=name, type=kind)
        for name, kind in folder.types.items()
        if name in made
    )
    return stated


class _Folder:
    """The types and the small values that are known so far."""

    def __init__(self, model: ModelProto) -> None:
        from onnx import helper, numpy_helper

        graph = model.graph
        self.types: dict[str, TypeProto] = {
            value.name: value.type for value in [*graph.input, *graph.value_info, *graph.output]
        }
        self.values: dict[str, Array] = {}
        for weight in graph.initializer:  # large weights were removed before
            self.types[weight.name] = helper.make_tensor_type_proto(weight.data_type, weight.dims)
            self._keep(weight.name, numpy_helper.to_array(weight))
        self._opsets = list(model.opset_import)
        self._versions = {entry.domain: entry.version for entry in model.opset_import}
        self._ir_version = model.ir_version

    def visit(self, node: NodeProto) -> None:
        """Learn the outputs of one node; whatever is wrong with it stays unknown."""
        if node.op_type == "Shape" and not node.domain:
            self._take_shape(node)
        elif self._can_evaluate(node):
            self._evaluate(node)
        if not all(self._is_known(name) for name in node.output if name):
            self._infer(node)

    def _take_shape(self, node: NodeProto) -> None:
        import numpy as np

        shape = self._shape(node.input[0]) if node.input else None
        if shape is None or None in shape:
            return
        bounds = {a.name: a.i for a in node.attribute}
        part = shape[bounds.get("start", 0) : bounds.get("end", len(shape))]
        self.values[node.output[0]] = np.array(part, dtype=np.int64)

    def _can_evaluate(self, node: NodeProto) -> bool:
        if operator(node) not in _EVALUATED:
            return False
        names = [name for name in node.input if name]
        if len(names) > MAX_ELEMENTS or not all(name in self.values for name in names):
            return False
        at = _GROWING.get(node.op_type)
        return at is None or (
            len(node.input) > at and _size(self.values[node.input[at]]) <= MAX_ELEMENTS
        )

    def _evaluate(self, node: NodeProto) -> None:
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        if any(_is_large(attribute.t) for attribute in node.attribute):
            return
        feeds = {name: self.values[name] for name in node.input if name}
        try:
            made = ReferenceEvaluator(node, opsets=self._versions).run(None, feeds)
        except Exception:  # noqa: BLE001  the reference raises any error on a wrong node
            return
        for name, value in zip(node.output, made, strict=False):
            if self._keep(name, value):
                kind = helper.np_dtype_to_tensor_dtype(value.dtype)
                self.types[name] = helper.make_tensor_type_proto(kind, value.shape)

    def _infer(self, node: NodeProto) -> None:
        from onnx import defs, numpy_helper, shape_inference

        names = [name for name in node.input if name]
        if not all(name in self.types for name in names):
            return
        try:
            schema = defs.get_schema(node.op_type, self._versions.get(node.domain, 1), node.domain)
            found = shape_inference.infer_node_outputs(
                schema,
                node,
                {name: self.types[name] for name in names},
                {n: numpy_helper.from_array(self.values[n], n) for n in names if n in self.values},
                opset_imports=self._opsets,
                ir_version=self._ir_version,
            )
        except (defs.SchemaError, shape_inference.InferenceError, RuntimeError, ValueError):
            return
        self.types.update(found)

    def _keep(self, name: str, value: Any) -> bool:
        small = hasattr(value, "dtype") and value.size <= MAX_ELEMENTS and value.ndim <= MAX_RANK
        if small:
            self.values[name] = value
        return small

    def _is_known(self, name: str) -> bool:
        shape = self._shape(name)
        return shape is not None and None not in shape

    def _shape(self, name: str) -> Shape | None:
        kind = self.types.get(name)
        return None if kind is None else shape_of(kind)


def _size(value: Array) -> float:
    numbers: list[float] = value.reshape(-1).tolist()
    return abs(prod(numbers))


def _is_large(tensor: TensorProto) -> bool:
    return prod(tensor.dims) > MAX_ELEMENTS or tensor.data_location != 0
