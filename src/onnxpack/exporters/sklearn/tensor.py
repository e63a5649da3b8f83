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
from onnx import helper

from onnxpack.exporters.trees import graph as trees
from onnxpack.exporters.trees.graph import ML, element_type, value_info
from onnxpack.signature import Array, Dim

SCALARS = 2
"""A loop's body takes the number of its step and whether to go on before any state."""
Operand: TypeAlias = "Tensor | Array | np.generic | float | int | bool | str"


@dataclass
class Graph:
    """A graph under construction; each of its values has a dtype.

    Attributes:
        opset: of the standard operators.
        handed: what each booster inside the model is handed, see :mod:`.handed`.
        writer: the nodes, constants and inputs so far.
        known: what was already added for a model, its method and its input.
    """

    opset: int
    handed: Mapping[int, Any] = field(default_factory=dict)
    known: dict[tuple[int, str, str], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writer = trees.Graph(self.opset)

    def input(self, name: str, dtype: str, shape: Sequence[Dim | None]) -> Tensor:
        """An input of the graph."""
        return Tensor(self, self.writer.input(name, np.dtype(dtype), list(shape) or None), dtype)

    def constant(self, value: Operand, dtype: str | None = None) -> Tensor:
        """A constant, in its own dtype or in the one that is named."""
        if isinstance(value, Tensor):
            return value.cast(dtype) if dtype else value
        array = np.asarray(value)
        dtype = dtype or _dtype_of(array)
        return Tensor(self, self.writer.constant(array, object if dtype == "str" else dtype), dtype)

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
        names = self.writer.add_many(
            kind,
            *(tensor.name if tensor is not None else "" for tensor in inputs),
            outputs=len(dtypes),
            domain=domain,
            title=title,
            **{key: value for key, value in attributes.items() if value is not None},
        )
        return [Tensor(self, *each) for each in zip(names, dtypes, strict=True)]

    def loop(
        self, most: int, state: Tensor, step: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> Tensor:
        """What becomes of a state in steps, as long as they go on.

        Args:
            most: how many steps at most.
            state: what the first begins with.
            step: adds the nodes that make of one state the next, and one bool: whether to go on.
        """
        before, number = self._named("state", state.dtype), self._named("number", "int64")
        on = self._named("on", "bool")

        def body() -> Sequence[Tensor]:
            after, goes_on = step(before)
            return goes_on, after

        limit, begin = self.constant(np.int64(most)), self.constant(np.bool_(True))
        inner = self._body(body, number, on, before)
        return self.op("Loop", limit, begin, state, dtype=state.dtype, body=inner)

    def collect(self, count: Tensor, step: Callable[[Tensor], Sequence[Tensor]]) -> list[Tensor]:
        """What each of several steps gives, stacked along a new first axis.

        Args:
            count: how many steps, an int64 scalar.
            step: adds the nodes that make of a step's number its tensors; their shapes are the
                same in all steps.
        """
        number, on = self._named("number", "int64"), self._named("on", "bool")
        found: list[Tensor] = []

        def body() -> list[Tensor]:
            found.extend(step(number))
            return [self.op("Identity", on, dtype="bool"), *found]

        inner = self._body(body, number, on)
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

        branches = {"then_branch": self._body(first), "else_branch": self._body(no)}
        return self.ops("If", condition, dtypes=[each.dtype for each in found], **branches)

    def save(self, to: Path, outputs: Mapping[str, Tensor]) -> None:
        """Write the graph, with its outputs under these names."""
        for name, tensor in outputs.items():
            self.writer.output(name, tensor.name, np.dtype(tensor.dtype))
        self.writer.save(to)

    def _named(self, hint: str, dtype: str) -> Tensor:
        return Tensor(self, self.writer.name(hint), dtype)

    def _body(self, made: Callable[[], Sequence[Tensor]], *inputs: Tensor) -> onnx.GraphProto:
        """The nodes that a function adds, as the body of a Loop or an If."""
        writer = self.writer
        outer, writer.nodes = writer.nodes, []
        outputs = made()
        inner, writer.nodes = writer.nodes, outer
        return helper.make_graph(
            inner,
            writer.name("body"),
            [
                value_info(each.name, each.dtype, () if place < SCALARS else None)
                for place, each in enumerate(inputs)
            ],
            [value_info(each.name, each.dtype) for each in outputs],
        )


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
        return self.graph.op("Cast", self, dtype=dtype, to=element_type(dtype))

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
