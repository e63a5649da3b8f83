"""Python's numbers in a script, which the TorchScript exporter turns into tensors.

``int(x.max())`` is there the tensor itself: PyTorch 2.14 erases the conversion, and ``int(x) > 5``
answers otherwise at 5.5. Such a tensor is made one of int64 first. ``float(x.sum())`` becomes
float32, where Python has float64: a rounding at most, unless something is decided by it. A
comparison of such a number with 0.1 is written with the float32 next to 0.1; all other decisions
by a float are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.replaced import existing
from onnxpack.exporters.torch.rewrite.scriptable import loaded_anew

CONSTANT, TO_INT = "prim::Constant", "aten::Int"
OWN_FUNCTIONS = "torch/nn/functional.py"
"""Where interpolate() rounds sizes, in code that the exporter puts one operator in place of."""
INT64 = 4
"""PyTorch's number of the dtype."""
OF_A_TENSOR = ("aten::Float", "aten::FloatImplicit", "aten::item")
ORDERED = {"aten::ge": False, "aten::gt": True, "aten::le": True, "aten::lt": False}
"""Comparisons, and whether that of a float32 to its left with a number between two float32 equals
that with the lower one of them."""
DECIDING = {
    "aten::Bool", "aten::ceil", "aten::eq", "aten::floor", "aten::floordiv", "aten::fmod",
    "aten::ne", "aten::remainder", "aten::round", "aten::trunc", TO_INT, *ORDERED,
}  # fmt: skip
"""Operators in which a rounding can change the answer as a whole."""
EXACT = {"aten::neg", "prim::abs", "prim::max", "prim::min"}
"""Operators that round nothing."""


def with_numbers_kept(script: Any) -> Any:
    """Return a script of the same model whose numbers survive the export.

    Raises:
        ExportError: it decides by a number of Python's that float32 does not hold.
    """
    graph = getattr(script, "inlined_graph", None)
    if graph is None:  # a script without forward() has no graph
        return script
    nodes = list(_nodes(graph))
    if all(_tensor_of(node) is None and not _is_rounded(node) for node in nodes):
        return script
    # The classes of scripts are shared by all that PyTorch compiles, so a copy is changed.
    script = loaded_anew(script, always=True)
    graph = script.graph
    # As the exporter does: interpolate() becomes one operator, then each call what it calls.
    existing(torch._C, "_jit_pass_onnx_function_substitution")(graph)  # noqa: SLF001
    existing(torch._C, "_jit_pass_inline")(graph)  # noqa: SLF001
    for node in list(_nodes(graph)):
        given = _tensor_of(node)
        if given is not None:
            node.replaceInput(0, _whole(graph, node, given))
        elif _is_rounded(node):
            _compare_exactly(graph, node)
    return script


def _whole(graph: Any, node: Any, given: Any) -> Any:
    """Return a tensor as int64, rounded towards zero as Python's int() does."""
    graph.setInsertPoint(node)
    false, none = graph.insertConstant(False), graph.insertConstant(None)
    made = graph.create("aten::to", [given, graph.insertConstant(INT64), false, false, none], 1)
    made.output().setType(given.type())
    return graph.insertNode(made).output()


def _compare_exactly(graph: Any, node: Any) -> None:
    """Compare with the float32 that parts the others as the number in between does.

    Raises:
        ExportError: it is another decision, or one by a float that Python computed.
    """
    given = list(node.inputs())
    places = [place for place, value in enumerate(given) if value.node().kind() == CONSTANT]
    if node.kind() not in ORDERED or len(places) != 1 or not _is_exact(given[1 - places[0]]):
        raise ExportError(
            "the script decides by a float of Python's, which a graph has in float32 only: "
            f"{str(node).strip()}",
            remedy="keep it a tensor: without float(), .item() and arithmetic on them",
        )
    place = places[0]
    number = float(given[place].toIValue())
    lower = ORDERED[node.kind()] == (place == 1)
    nearest = np.float32(number)
    if (float(nearest) > number) == lower:
        nearest = np.nextafter(nearest, np.float32(-np.inf if lower else np.inf))
    graph.setInsertPoint(node)
    node.replaceInput(place, graph.insertConstant(float(nearest)))


def _tensor_of(node: Any) -> Any:
    """Return the tensor that a node turns into an int, also by ``int(float(x))``; else None."""
    if node.kind() != TO_INT:
        return None
    given = node.inputsAt(0)
    if given.node().kind() in OF_A_TENSOR:
        given = given.node().inputsAt(0)
    return given if _kind(given) == "TensorType" else None


def _is_rounded(node: Any) -> bool:
    """Return whether a node decides by floats that float32 does not hold."""
    if node.kind() not in DECIDING or OWN_FUNCTIONS in node.sourceRange():
        return False
    given = list(node.inputs())
    floats = [value for value in given if _kind(value) in ("FloatType", "NumberType")]
    if any(_kind(value) == "TensorType" for value in given):
        return False  # torch computes in the tensor's own dtype, as a graph does
    compares = node.kind() in {"aten::eq", "aten::ne", *ORDERED}
    return bool(floats) and not (compares and all(map(_is_exact, floats)))


def _is_exact(value: Any) -> bool:
    """Return whether float32 holds a number: an element of a tensor, or such a constant."""
    node = value.node()
    if node.kind() == CONSTANT:
        number = float(value.toIValue())
        return number != number or float(np.float32(number)) == number
    if node.kind() in EXACT:
        return all(map(_is_exact, node.inputs()))
    return node.kind() in OF_A_TENSOR and _kind(node.inputsAt(0)) == "TensorType"


def _kind(value: Any) -> str:
    return str(value.type().kind())


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)
