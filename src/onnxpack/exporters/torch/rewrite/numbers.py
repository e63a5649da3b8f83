"""Keep Python's numbers in a script, which the TorchScript exporter turns into tensors.

``int(x.max())`` becomes the tensor itself: PyTorch 2.14 erases the conversion, and ``int(x) > 5``
gives another answer at 5.5. Such a tensor is cast to int64 first. ``float(x.sum())`` becomes
float32, where Python has float64: this costs at most a rounding, unless the number decides
something. So a comparison of such a number with 0.1 is written in float64. All other decisions by a
float are refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.replaced import existing
from onnxpack.exporters.torch.rewrite.scriptable import reloaded
from onnxpack.exporters.torch.watch.scripted import walk

CONSTANT, TO_INT = "prim::Constant", "aten::Int"
OWN_FUNCTIONS = "torch/nn/functional.py"
"""The file in which interpolate() rounds sizes; the exporter replaces that code by one operator."""
INT64, FLOAT64 = 4, 7
"""PyTorch's numbers of these dtypes."""
OF_A_TENSOR = ("aten::Float", "aten::FloatImplicit", "aten::item")
COMPARES = {f"aten::{name}" for name in ("eq", "ge", "gt", "le", "lt", "ne")}
DECIDING = COMPARES | {
    "aten::Bool", "aten::ceil", "aten::floor", "aten::floordiv", "aten::fmod", "aten::remainder",
    "aten::round", "aten::trunc", TO_INT,
}  # fmt: skip
"""Operators in which a rounding can change the whole answer."""
EXACT = {
    "aten::neg": "aten::neg", "prim::abs": "aten::abs", "prim::max": "aten::maximum",
    "prim::min": "aten::minimum",
}  # fmt: skip
"""Operators that round nothing, with the operators that do the same to tensors."""


def with_numbers_kept(script: Any) -> Any:
    """Return a script of the same model whose numbers survive the export.

    Raises:
        ExportError: the script decides by a Python number that float32 cannot hold.
    """
    graph = getattr(script, "inlined_graph", None)
    if graph is None:  # a script without forward() has no graph
        return script
    nodes = [step.node for step in walk(graph)]
    if all(_tensor_of(node) is None and not _is_rounded(node) for node in nodes):
        return script
    # The classes of scripts are shared by all that PyTorch compiles, so a copy is changed.
    script = reloaded(script)
    graph = script.graph
    # As the exporter does: interpolate() becomes one operator, then each call what it calls.
    existing(torch._C, "_jit_pass_onnx_function_substitution")(graph)  # noqa: SLF001
    existing(torch._C, "_jit_pass_inline")(graph)  # noqa: SLF001
    for node in [step.node for step in walk(graph)]:
        given = _tensor_of(node)
        if given is not None:
            node.replaceInput(0, _cast(graph, node, given, INT64))
        elif _is_rounded(node):
            _compare_in_float64(graph, node)
    return script


def _cast(graph: Any, node: Any, given: Any, dtype: int) -> Any:
    """Return a tensor cast to another dtype before a node; to int64 towards zero, like int()."""
    graph.setInsertPoint(node)
    false, none = graph.insertConstant(False), graph.insertConstant(None)
    return _inserted(graph, "aten::to", given, graph.insertConstant(dtype), false, false, none)


def _inserted(graph: Any, operator: str, *given: Any) -> Any:
    """Insert an operator where the graph is being written, and return its tensor."""
    made = graph.insertNode(graph.create(operator, list(given), 1)).output()
    made.setType(torch._C.TensorType.get())  # noqa: SLF001 - no public name
    return made


def _compare_in_float64(graph: Any, node: Any) -> None:
    """Replace a comparison of Python's floats by one of float64 tensors.

    Raises:
        ExportError: the node is not a comparison, or compares a float that Python computed.
    """
    given = list(node.inputs())
    if node.kind() not in COMPARES or not all(map(_is_exact, given)):
        raise ExportError(
            "the script depends on a Python float, which a graph holds only in float32: "
            f"{str(node).strip()}",
            remedy="keep it a tensor: without float(), .item() and arithmetic on them",
        )
    wide = [_wide(graph, node, value) for value in given]
    found = _inserted(graph, node.kind(), *wide)
    answer = graph.insertNode(graph.create("aten::Bool", [found], 1)).output()
    answer.setType(node.output().type())
    node.output().replaceAllUsesWith(answer)
    node.destroy()


def _wide(graph: Any, node: Any, value: Any) -> Any:
    """Return a Python float as a float64 tensor.

    The tensor has an axis, since the exporter treats tensors without one as float32 (PyTorch 2.14).
    """
    made = value.node()
    if made.kind() == CONSTANT:
        graph.setInsertPoint(node)
        return graph.insertConstant(torch.tensor([value.toIValue()], dtype=torch.float64))
    if made.kind() in EXACT:
        operands = [_wide(graph, node, each) for each in made.inputs()]
        return _inserted(graph, EXACT[made.kind()], *operands)
    wide = _cast(graph, node, made.inputsAt(0), FLOAT64)
    return _inserted(graph, "aten::unsqueeze", wide, graph.insertConstant(0))


def _tensor_of(node: Any) -> Any:
    """Return the tensor that a node turns into an int, also by ``int(float(x))``; else None."""
    if node.kind() != TO_INT:
        return None
    given = node.inputsAt(0)
    if given.node().kind() in OF_A_TENSOR:
        given = given.node().inputsAt(0)
    return given if _kind(given) == "TensorType" else None


def _is_rounded(node: Any) -> bool:
    """Return whether a node decides by floats that a graph may have in less than float64."""
    if node.kind() not in DECIDING or OWN_FUNCTIONS in node.sourceRange():
        return False
    given = list(node.inputs())
    if any(_kind(value) == "TensorType" for value in given):
        return False  # torch computes in the tensor's own dtype, as a graph does
    floats = [value for value in given if _kind(value) in ("FloatType", "NumberType")]
    # An integer is compared with a number that float32 holds.
    plain = node.kind() in COMPARES and len(floats) < len(given) and all(map(_is_held, floats))
    return bool(floats) and not plain


def _is_held(value: Any) -> bool:
    """Return whether a number is a constant that float32 holds exactly."""
    if value.node().kind() != CONSTANT:
        return False
    number = float(value.toIValue())
    return number != number or float(np.float32(number)) == number


def _is_exact(value: Any) -> bool:
    """Return whether float64 holds a number: a constant, a tensor's element, or made of those."""
    node = value.node()
    if node.kind() in EXACT:
        return all(map(_is_exact, node.inputs()))
    if node.kind() == CONSTANT:
        number = value.toIValue()
        return isinstance(number, int | float) and (number != number or float(number) == number)
    return node.kind() in OF_A_TENSOR and _kind(node.inputsAt(0)) == "TensorType"


def _kind(value: Any) -> str:
    return str(value.type().kind())
