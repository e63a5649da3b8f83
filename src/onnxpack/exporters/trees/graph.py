"""Write a graph operator by operator, for boosters and scikit-learn's families."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import helper, numpy_helper

from onnxpack.exporters.value_names import free_name
from onnxpack.signature import Dim

MICROSOFT = "com.microsoft"
ML = "ai.onnx.ml"
IR_VERSIONS = {18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12}
"""The IR version that each opset came with; later opsets get the latest one."""


class Graph:
    """A graph under construction; each operator is known by the name of its output.

    Attributes:
        opset: the opset of ONNX's own operators.
        nodes: the operators so far.
        constants: the constants so far.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._seen: Counter[str] = Counter()
        self._taken: set[str] = set()

    def input(self, name: str, dtype: DTypeLike, shape: Sequence[Dim | None] | None) -> str:
        """Add an input; strings have the dtype ``object``."""
        self.reserve([name])
        self._inputs.append(value_info(name, dtype, shape))
        return name

    def reserve(self, names: Iterable[str]) -> None:
        """Reserve names for inputs that follow, so that nothing else gets them."""
        self._taken.update(names)

    def constant(self, values: ArrayLike, dtype: DTypeLike | None = None) -> str:
        """Add a constant and return its name; Python numbers become int64 and float64."""
        name, array = self.name("constant"), np.asarray(values, dtype)
        if array.dtype.kind in "OSU":
            texts = np.array([str(text).encode() for text in array.ravel()], object)
            made = helper.make_tensor(name, onnx.TensorProto.STRING, array.shape, texts)
        else:
            made = numpy_helper.from_array(array, name)
        self.constants.append(made)
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output and return the output's name."""
        return self.add_many(operator, *inputs, outputs=1, domain=domain, **attributes)[0]

    def add_many(
        self,
        operator: str,
        *inputs: str,
        outputs: int,
        domain: str = "",
        title: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add an operator and return the names of its outputs.

        Args:
            title: the node's name, which an error at run time shows; by default the name of its
                output.
        """
        names = [self.name(operator) for _ in range(outputs)]
        self.nodes.append(
            helper.make_node(
                operator,
                inputs,
                names,
                name=self.name(title) if title else names[0],
                domain=domain or None,
                **attributes,
            )
        )
        return names

    def cast(self, value: str, dtype: DTypeLike) -> str:
        """Add a cast of the value to another dtype."""
        return self.add("Cast", value, to=element_type(dtype))

    def output(self, name: str, value: str, dtype: DTypeLike) -> None:
        """Add an output called ``name``, or a variant of it if an input has that name."""
        name = free_name(name, self._taken)
        self.nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(value_info(name, dtype))

    def save(self, to: Path) -> None:
        """Write the graph to a file."""
        from onnxpack.exporters.trees.versions import settle_version  # which writes graphs itself

        versions = {"": self.opset, ML: settle_version(self.nodes, self.constants), MICROSOFT: 1}
        domains = {"", *(node.domain for node in self.nodes)}
        graph = helper.make_graph(self.nodes, "graph", self._inputs, self._outputs, self.constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(d, versions[d]) for d in sorted(domains)],
            ir_version=IR_VERSIONS.get(self.opset, max(IR_VERSIONS.values())),
        )
        onnx.save(model, to)

    def name(self, kind: str) -> str:
        """Return a name that nothing else has; a column of the user's may be called ``Add/3``."""
        self._seen[kind] += 1
        while f"{kind}/{self._seen[kind]}" in self._taken:
            self._seen[kind] += 1
        return f"{kind}/{self._seen[kind]}"


def value_info(
    name: str, dtype: DTypeLike, shape: Sequence[Dim | None] | None = None
) -> onnx.ValueInfoProto:
    """Return a value's name, dtype and shape; a missing shape follows from the operators."""
    return helper.make_tensor_value_info(name, element_type(dtype), shape)


def element_type(dtype: DTypeLike) -> int:
    """Return ONNX's number for a dtype."""
    known = np.dtype(dtype)
    if known.kind in "OU":
        return onnx.TensorProto.STRING
    return int(helper.np_dtype_to_tensor_dtype(known))
