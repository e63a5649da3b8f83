"""Write ``F.one_hot`` so that the graph refuses a class out of range, as PyTorch does.

ONNX's OneHot, and the comparison that ``torch.export`` writes, answer such a class with a row of
zeros. Gather is specified to fail for an index out of range. So zeros are looked up at the same
classes and added, which changes no answer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.onnx import symbolic_helper

ONE_HOT = torch.ops.aten.one_hot.default
INT64 = 7
"""The number by which ONNX's TensorProto identifies int64."""


def scripted_one_hot(graph: Any, classes: Any, count: Any) -> Any:
    """Write ``one_hot`` for the TorchScript exporter.

    A number of classes of -1 is counted from the input, where no class is out of range.
    """
    plain = graph.op("OneHot", classes, count, _constant(graph, [0, 1]), axis_i=-1)
    known = symbolic_helper._maybe_get_const(count, "i")  # noqa: SLF001
    if isinstance(known, int) and known < 0:
        return plain
    one = _constant(graph, [1])
    column = graph.op("Concat", graph.op("Reshape", count, one), one, axis_i=0)
    zeros = graph.op("Expand", _constant(graph, [0]), column)
    # Gather counts negative indices from the end; PyTorch refuses a negative class.
    negative = graph.op("Less", classes, _constant(graph, 0))
    places = graph.op("Where", negative, count, classes)
    return graph.op("Add", plain, graph.op("Gather", zeros, places, axis_i=0))


def exported_one_hot(classes: Any, count: Any = -1) -> Any:
    """Write ``one_hot`` for the exporter that is built on ``torch.export``."""
    from onnxscript import opset18

    op: Any = opset18  # the types of its operators do not fit each other
    one = op.Constant(value_ints=[1])
    # OneHot of a single class, without axes, is not allowed.
    known = op.Range(op.Constant(value_int=0), count, op.Constant(value_int=1))
    same = op.Equal(op.Unsqueeze(classes, op.Constant(value_ints=[-1])), known)
    column = op.Concat(op.Reshape(count, one), one, axis=0)
    zeros = op.Expand(op.Constant(value_ints=[0]), column)
    negative = op.Less(classes, op.Constant(value_int=0))
    looked_up = op.Gather(zeros, op.Where(negative, count, classes), axis=0)
    return op.Add(op.Cast(same, to=INT64), looked_up)


def _constant(graph: Any, value: int | list[int]) -> Any:
    return graph.op("Constant", value_t=torch.tensor(value))
