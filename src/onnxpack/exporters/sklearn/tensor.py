"""Tensors of a graph under construction that calculate as numpy's arrays do.

A converter reads like scikit-learn's own code: ``(x - mean) / scale`` adds nodes to the graph.
Dtypes are promoted by numpy's rules, so the graph rounds where scikit-learn does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper

from onnxpack.exporters.trees.versions import settle_version
from onnxpack.signature import Array, Dim

ML = "ai.onnx.ml"
ELEMENT_TYPES = {
    "bool": TensorProto.BOOL,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "int8": TensorProto.INT8,
    "int16": TensorProto.INT16,
    "str": TensorProto.STRING,
    "uint8": TensorProto.UINT8,
    "uint16": TensorProto.UINT16,
    "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
}
Operand: TypeAlias = "Tensor | Array | np.generic | float | int | bool | str"


@dataclass
class Graph:
    """Nodes, constants and inputs, as they are added.

    Attributes:
        opset: of the standard operators.
        taken: the names of the inputs.
        known: what was already added for a model, its method and its input.
        handed: what each booster inside the model is handed, see :mod:`.handed`.
    """

    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    known: dict[tuple[int, str, str], Any] = field(default_factory=dict)
    count: int = 0
    taken: set[str] = field(default_factory=set)
    handed: Mapping[int, Any] = field(default_factory=dict)

    def name(self, hint: str) -> str:
        """A name that nothing else has; a column of the user's may be called ``add_3``."""
        self.count += 1
        while f"{hint}_{self.count}" in self.taken:
            self.count += 1
        return f"{hint}_{self.count}"

    def input(self, name: str, dtype: str, shape: Sequence[Dim]) -> Tensor:
        """An input of the graph."""
        self.taken.add(name)
        self.inputs.append(
            helper.make_tensor_value_info(name, ELEMENT_TYPES[dtype], list(shape) or None)
        )
        return Tensor(self, name, dtype)

    def constant(self, value: Operand, dtype: str | None = None) -> Tensor:
        """A constant, in its own dtype or in the one that is named."""
        if isinstance(value, Tensor):
            return value.cast(dtype) if dtype else value
        array = np.asarray(value)
        dtype = dtype or _dtype_of(array)
        name = self.name("constant")
        if dtype == "str":
            texts = np.array([str(item).encode() for item in array.ravel()], object)
            proto = helper.make_tensor(name, TensorProto.STRING, array.shape, texts)
        else:
            proto = onnx.numpy_helper.from_array(np.ascontiguousarray(array, dtype), name)
            proto.dims[:] = array.shape
        self.constants.append(proto)
        return Tensor(self, name, dtype)

    def op(
        self,
        kind: str,
        *inputs: Tensor | None,
        dtype: str,
        domain: str = "",
        title: str = "",
        **attributes: Any,
    ) -> Tensor:
        """A node of one output."""
        return self.ops(kind, *inputs, dtypes=[dtype], domain=domain, title=title, **attributes)[0]

    def ops(
        self,
        kind: str,
        *inputs: Tensor | None,
        dtypes: Sequence[str],
        domain: str = "",
        title: str = "",
        **attributes: Any,
    ) -> list[Tensor]:
        """A node of several outputs.

        Args:
            title: the node's name, which an error at run time will tell.
        """
        outputs = [Tensor(self, self.name(kind.lower()), dtype) for dtype in dtypes]
        self.nodes.append(
            helper.make_node(
                kind,
                [tensor.name if tensor is not None else "" for tensor in inputs],
                [tensor.name for tensor in outputs],
                name=self.name(title or kind),
                domain=domain,
                **{key: value for key, value in attributes.items() if value is not None},
            )
        )
        return outputs

    def loop(
        self, most: int, state: Tensor, step: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        """What becomes of a state in steps, as long as they go on.

        Args:
            most: how many steps at most.
            state: what the first begins with.
            step: adds the nodes that make of one state the next, and one bool: whether to go on.
        """
        outer, self.nodes = self.nodes, []
        before = Tensor(self, self.name("state"), state.dtype)
        after, on = step(before)
        inner, self.nodes = self.nodes, outer
        info, kind = helper.make_tensor_value_info, ELEMENT_TYPES[state.dtype]
        body = helper.make_graph(
            inner,
            "step",
            [
                info(self.name("number"), TensorProto.INT64, []),
                info(self.name("on"), TensorProto.BOOL, []),
                info(before.name, kind, None),
            ],
            [info(on.name, TensorProto.BOOL, []), info(after.name, kind, None)],
        )
        limit, begin = self.constant(np.int64(most)), self.constant(np.bool_(True))
        return self.op("Loop", limit, begin, state, dtype=state.dtype, body=body)

    def collect(self, count: Tensor, step: Callable[[Tensor], Sequence[Tensor]]) -> list[Tensor]:
        """What each of several steps gives, stacked along a new first axis.

        Args:
            count: how many steps, an int64 scalar.
            step: adds the nodes that make of a step's number its tensors; their shapes are the
                same in all steps.
        """
        number, on = Tensor(self, self.name("number"), "int64"), self.name("on")
        found: list[Tensor] = []

        def body() -> list[Tensor]:
            found.extend(step(number))
            return [self.op("Identity", Tensor(self, on, "bool"), dtype="bool"), *found]

        inner = self._body(
            body,
            [
                helper.make_tensor_value_info(number.name, TensorProto.INT64, []),
                helper.make_tensor_value_info(on, TensorProto.BOOL, []),
            ],
        )
        begin = self.constant(np.bool_(True))
        return self.ops("Loop", count, begin, dtypes=[each.dtype for each in found], body=inner)

    def choose(
        self,
        condition: Tensor,
        yes: Callable[[], Sequence[Tensor]],
        no: Callable[[], Sequence[Tensor]],
    ) -> list[Tensor]:
        """What one of two functions adds: only that one is computed.

        Args:
            condition: a bool scalar.
        """
        found: list[Tensor] = []

        def first() -> list[Tensor]:
            found.extend(yes())
            return found

        branches = {"then_branch": self._body(first, []), "else_branch": self._body(no, [])}
        return self.ops("If", condition, dtypes=[each.dtype for each in found], **branches)

    def _body(
        self, made: Callable[[], Sequence[Tensor]], inputs: Sequence[onnx.ValueInfoProto]
    ) -> onnx.GraphProto:
        """The nodes that a function adds, as the body of a Loop or an If."""
        outer, self.nodes = self.nodes, []
        outputs = made()
        inner, self.nodes = self.nodes, outer
        infos = [
            helper.make_tensor_value_info(each.name, ELEMENT_TYPES[each.dtype], None)
            for each in outputs
        ]
        return helper.make_graph(inner, self.name("body"), list(inputs), infos)

    def save(self, to: Path, outputs: dict[str, Tensor]) -> None:
        """Write the graph, with its outputs under these names."""
        infos = []
        for name, tensor in outputs.items():
            self.nodes.append(helper.make_node("Identity", [tensor.name], [name], name=name))
            infos.append(helper.make_tensor_value_info(name, ELEMENT_TYPES[tensor.dtype], None))
        versions = {ML: settle_version(self.nodes, self.constants), "com.microsoft": 1}
        graph = helper.make_graph(self.nodes, "model", self.inputs, infos, self.constants)
        domains = {node.domain for node in self.nodes if node.domain}
        opsets = [helper.make_opsetid("", self.opset)]
        opsets += [helper.make_opsetid(domain, versions[domain]) for domain in sorted(domains)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        onnx.save(model, to)


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of a graph; its operators are numpy's."""

    graph: Graph
    name: str
    dtype: str

    __array_ufunc__ = None  # so that an array to the left leaves the operation to us

    def cast(self, dtype: str) -> Tensor:
        """In another dtype; itself where it has that one."""
        if dtype == self.dtype:
            return self
        return self.graph.op("Cast", self, dtype=dtype, to=ELEMENT_TYPES[dtype])

    @property
    def floating(self) -> bool:
        """Whether it holds floating-point numbers."""
        return self.dtype.startswith("float")

    def __add__(self, other: Operand) -> Tensor:
        return _arithmetic("Add", self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return _arithmetic("Add", other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return _arithmetic("Sub", self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return _arithmetic("Sub", other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return _arithmetic("Mul", self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return _arithmetic("Mul", other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return _arithmetic("Div", self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return _arithmetic("Div", other, self)

    def __pow__(self, other: Operand) -> Tensor:
        return _arithmetic("Pow", self, other)

    def __matmul__(self, other: Operand) -> Tensor:
        return _arithmetic("MatMul", self, other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return _arithmetic("MatMul", other, self)

    def __neg__(self) -> Tensor:
        return self.graph.op("Neg", self, dtype=self.dtype)

    def __lt__(self, other: Operand) -> Tensor:
        return _comparison("Less", self, other)

    def __le__(self, other: Operand) -> Tensor:
        return _comparison("LessOrEqual", self, other)

    def __gt__(self, other: Operand) -> Tensor:
        return _comparison("Greater", self, other)

    def __ge__(self, other: Operand) -> Tensor:
        return _comparison("GreaterOrEqual", self, other)

    def equals(self, other: Operand) -> Tensor:
        """Element by element; texts are held against constant ones.

        Raises:
            TypeError: texts are held against texts that are not known.
        """
        if self.dtype != "str":
            return _comparison("Equal", self, other)
        if isinstance(other, Tensor):
            raise TypeError("texts are held against constant ones")
        texts = np.asarray(other, object)
        known = sorted({str(text) for text in texts.ravel()})
        numbers = np.array([known.index(str(text)) for text in texts.ravel()], np.int64)
        return _comparison("Equal", self.number(known), numbers.reshape(texts.shape))

    def number(self, known: Sequence[str]) -> Tensor:
        """The place of each text among those that are known; their count for any other."""
        return self.graph.op(
            "LabelEncoder",
            self,
            dtype="int64",
            domain=ML,
            keys_strings=list(known),
            values_int64s=list(range(len(known))),
            default_int64=len(known),
        )

    def __and__(self, other: Tensor) -> Tensor:
        return self.graph.op("And", self, other, dtype="bool")

    def __or__(self, other: Tensor) -> Tensor:
        return self.graph.op("Or", self, other, dtype="bool")

    def __invert__(self) -> Tensor:
        return self.graph.op("Not", self, dtype="bool")


def pair(left: Operand, right: Operand) -> tuple[Tensor, Tensor]:
    """Two operands in the dtype that numpy gives them together; one is a tensor."""
    tensor = left if isinstance(left, Tensor) else right
    if not isinstance(tensor, Tensor):
        raise TypeError("one of two operands is a tensor")
    dtype = tensor.dtype
    if dtype != "str":
        dtype = np.result_type(_weak(left), _weak(right)).name
    graph = tensor.graph
    return graph.constant(left, dtype), graph.constant(right, dtype)


def _weak(operand: Operand) -> Any:
    """What stands for an operand in numpy's promotion: a Python number yields to any dtype."""
    if isinstance(operand, Tensor):
        return np.dtype(operand.dtype)
    if isinstance(operand, bool | int | float) and not isinstance(operand, np.generic):
        return operand
    return np.asarray(operand).dtype


def _arithmetic(kind: str, left: Operand, right: Operand) -> Tensor:
    one, other = pair(left, right)
    if one.dtype == "bool" or (kind == "Div" and not one.floating):
        one, other = one.cast("float64"), other.cast("float64")
    return one.graph.op(kind, one, other, dtype=one.dtype)


def _comparison(kind: str, left: Operand, right: Operand) -> Tensor:
    one, other = pair(left, right)
    if one.dtype == "bool" and kind != "Equal":
        one, other = one.cast("int64"), other.cast("int64")
    return one.graph.op(kind, one, other, dtype="bool")


def _dtype_of(array: Array) -> str:
    return "str" if array.dtype.kind in "OUS" else array.dtype.name
