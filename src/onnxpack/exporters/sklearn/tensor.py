"""Tensors of a graph under construction that calculate like NumPy arrays.

A converter reads like scikit-learn's own code: ``(x - mean) / scale`` adds nodes to the graph.
Dtypes are promoted by NumPy's rules, so the graph rounds where scikit-learn rounds.
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
"""The body of a loop has two scalar inputs before its state: the step's number and a condition."""
Operand: TypeAlias = "Tensor | Array | np.generic | float | int | bool | str"


@dataclass
class Graph:
    """A graph under construction in which every value has a dtype.

    Attributes:
        opset: the version of ONNX's standard operators.
        handed: what each booster inside the model is handed, see :mod:`.handed`.
        known: results that were already added, by model, method and input.
        writer: holds the nodes, constants and inputs that were added.
    """

    opset: int
    handed: Mapping[int, Any] = field(default_factory=dict)
    known: dict[tuple[int, str, str], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.writer = trees.Graph(self.opset)

    def input(self, name: str, dtype: str, shape: Sequence[Dim | None]) -> Tensor:
        """Add an input to the graph, and return it."""
        return Tensor(self, self.writer.input(name, np.dtype(dtype), list(shape) or None), dtype)

    def constant(self, value: Operand, dtype: str | None = None) -> Tensor:
        """Add a constant, in its own dtype or in the given one; cast a tensor."""
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
        """Add a node with one output, and return the output."""
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
        """Add a node with several outputs, and return the outputs.

        Args:
            title: the node's name, which an error at run time shows.
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
        """Add a loop that updates a state step by step, and return the last state.

        Args:
            most: the largest number of steps.
            state: the initial state.
            step: adds the nodes of one step; returns the next state and a bool: whether to go on.
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
        """Add a loop, and return the results of all steps stacked along a new first axis.

        Args:
            count: the number of steps, an int64 scalar.
            step: adds the nodes of one step, given its number; the returned tensors have the same
                shapes in all steps.
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
        """Add an ``If`` that computes only one of two branches, and return its outputs.

        Args:
            condition: a bool scalar.
            yes: adds the nodes of the branch for true, and returns its outputs.
            no: adds the nodes of the branch for false, and returns its outputs.
        """
        found: list[Tensor] = []

        def first() -> list[Tensor]:
            found.extend(yes())
            return found

        branches = {"then_branch": self._body(first), "else_branch": self._body(no)}
        return self.ops("If", condition, dtypes=[each.dtype for each in found], **branches)

    def save(self, to: Path, outputs: Mapping[str, Tensor]) -> None:
        """Write the graph to a file, with its outputs under these names."""
        for name, tensor in outputs.items():
            self.writer.output(name, tensor.name, np.dtype(tensor.dtype))
        self.writer.save(to)

    def _named(self, hint: str, dtype: str) -> Tensor:
        return Tensor(self, self.writer.name(hint), dtype)

    def _body(self, made: Callable[[], Sequence[Tensor]], *inputs: Tensor) -> onnx.GraphProto:
        """Return the nodes that a function adds, as the body of a ``Loop`` or an ``If``."""
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
    """A tensor of a graph, with NumPy's operators."""

    graph: Graph
    name: str
    dtype: str

    __array_ufunc__ = None  # so that an array on the left leaves the operation to this class

    def cast(self, dtype: str) -> Tensor:
        """Return the tensor in another dtype, or the tensor itself if it has that dtype."""
        if dtype == self.dtype:
            return self
        return self.graph.op("Cast", self, dtype=dtype, to=element_type(dtype))

    @property
    def floating(self) -> bool:
        """Whether the tensor holds floating-point numbers."""
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
        """Return whether elements are equal; texts can be compared only with constant texts.

        Raises:
            TypeError: texts are compared with texts that are not constant.
        """
        if self.dtype != "str":
            return _comparison("Equal", self, other)
        if isinstance(other, Tensor):
            raise TypeError("texts are compared only with constant ones")
        texts = np.asarray(other, object)
        known = sorted({str(text) for text in texts.ravel()})
        numbers = np.array([known.index(str(text)) for text in texts.ravel()], np.int64)
        return _comparison("Equal", self.number(known), numbers.reshape(texts.shape))

    def number(self, known: Sequence[str]) -> Tensor:
        """Return each text's place in ``known``, int64; ``len(known)`` for any other text."""
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
    """Return two operands in NumPy's common dtype; at least one of them is a tensor."""
    tensor = left if isinstance(left, Tensor) else right
    if not isinstance(tensor, Tensor):
        raise TypeError("one of two operands is a tensor")
    dtype = tensor.dtype
    if dtype != "str":
        dtype = np.result_type(_weak(left), _weak(right)).name
    graph = tensor.graph
    return graph.constant(left, dtype), graph.constant(right, dtype)


def _weak(operand: Operand) -> Any:
    """Return an operand for NumPy's promotion, in which a Python number yields to any dtype."""
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
