"""Summarise a graph: its operators, its parameters, and the cost of one run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from onnxpack.errors import PackError
from onnxpack.graph.infer import at_sizes
from onnxpack.graph.macs import count_macs
from onnxpack.graph.read import each_graph, operator, read_graph
from onnxpack.graph.shapes import dynamic_dims
from onnxpack.graph.signature import dtype_name, read_signature
from onnxpack.signature import Signature

if TYPE_CHECKING:
    from onnx import TensorProto

_NOT_LEARNED = {"int64", "bool", "str"}
"""Initialisers of these dtypes are shapes, axes, masks and labels, not parameters."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of a graph.

    Attributes:
        signature: inputs and outputs.
        ir_version: ONNX IR version.
        opsets: operator-set version of each domain; ONNX's own is ``ai.onnx``.
        producer: program that wrote the graph, with its version if stated.
        nodes: number of nodes, including those in the bodies of If, Loop and Scan.
        operators: number of nodes of each operator, the most frequent first.
        functions: names of the functions that the model defines.
        parameters: number of elements in its initialisers, without shapes and masks.
        weights: bytes of its initialisers of each dtype.
        dims: sizes of the dynamic dims for which ``macs`` was counted.
        macs: multiply-accumulate operations of one run; None if none could be counted.
        uncounted: number of nodes missing in ``macs``, because the graph does not state their
            shapes, or how often they run.
    """

    signature: Signature
    ir_version: int
    opsets: dict[str, int]
    producer: str
    nodes: int
    operators: dict[str, int]
    functions: tuple[str, ...]
    parameters: int
    weights: dict[str, int]
    dims: dict[str, int]
    macs: float | None
    uncounted: int


def summarize(path: Path, *, dims: Mapping[str, int] | None = None) -> Summary:
    """Summarise the graph at ``path`` without reading weights in other files.

    Args:
        path: an ``.onnx`` file.
        dims: sizes of dynamic dims by name; other dims have size 1.

    Raises:
        PackError: the file is not a graph, or states something impossible.
    """
    model = read_graph(path)
    named = {name: (dims or {}).get(name, 1) for name in dynamic_dims(model)}
    operators = Counter(operator(node) for graph in each_graph(model.graph) for node in graph.node)
    macs, uncounted = count_macs(at_sizes(model, named))
    weights = [weight for graph in each_graph(model.graph) for weight in graph.initializer]
    return Summary(
        signature=read_signature(model),
        ir_version=model.ir_version,
        opsets={entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        producer=f"{model.producer_name} {model.producer_version}".strip(),
        nodes=operators.total(),
        operators=dict(sorted(operators.items(), key=lambda item: (-item[1], item[0]))),
        functions=tuple(f"{entry.domain}.{entry.name}" for entry in model.functions),
        parameters=sum(_elements(w) for w in weights if _dtype(w) not in _NOT_LEARNED),
        weights=_bytes_by_dtype(weights),
        dims=named,
        macs=None if uncounted and not macs else macs,
        uncounted=uncounted,
    )


def _bytes_by_dtype(weights: list[TensorProto]) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for weight in weights:
        sizes[_dtype(weight)] += -(-_elements(weight) * _bits(weight) // 8)
    return dict(sorted(sizes.items()))


def _elements(weight: TensorProto) -> int:
    if any(size < 0 for size in weight.dims):
        raise PackError(
            f"initialiser {weight.name!r} has dims {list(weight.dims)}, expected sizes of at "
            "least 0."
        )
    return prod(weight.dims)


def _bits(weight: TensorProto) -> int:
    """Return the bits of one element; for strings, by the bytes in the file."""
    from onnx.helper import tensor_dtype_to_np_dtype

    packed = re.match(r"(?:u?int|float)([246])(?:_|$)", _dtype(weight))
    if packed:
        return int(packed[1])
    if weight.string_data:
        return 8 * sum(map(len, weight.string_data)) // len(weight.string_data)
    return 8 * tensor_dtype_to_np_dtype(weight.data_type).itemsize


def _dtype(weight: TensorProto) -> str:
    return dtype_name(weight.data_type, of=f"initialiser {weight.name!r}")
