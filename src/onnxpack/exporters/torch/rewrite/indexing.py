"""Write ``x[i, j]``, with indices for several axes at once, in ONNX.

The TorchScript exporter of torch 2.14.1 flattens these axes, and adds up the indices times the
sizes. Then -1 in the second axis is the last place of the previous row, and an index that is too
large is a place in the next row. PyTorch counts from the row's own end, or raises an error. The
exporter's warning says so: "If indices include negative values, the exported graph will produce
incorrect results". ONNX's GatherND takes each index by itself, and counts negative ones from the
end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.onnx import symbolic_helper

from onnxpack.errors import ExportError

INT64 = 7
"""ONNX's number of the dtype int64."""


def gather_at(graph: Any, x: Any, indices: Any, *, plain: Callable[..., Any]) -> Any:
    """Return the values at the indices.

    Args:
        indices: the indices of ``aten::index``; None for an axis that is taken whole.
        plain: the exporter's own form, which is correct for an index of one axis.

    Raises:
        ExportError: the number of axes is not known.
    """
    given = _unpacked(indices)
    if sum(not _is_slice(index) for index in given) > 1:
        return _gather(graph, x, given)
    return plain(graph, x, indices)


def _gather(graph: Any, x: Any, given: Sequence[Any]) -> Any:
    rank = _rank(x)
    axes: list[int] = []
    columns: list[Any] = []
    at = 0
    for index in given:
        found = [] if _is_slice(index) else _columns(graph, index)
        axes += range(at, at + len(found))
        columns += found
        at += max(1, len(found))
    rest = [axis for axis in range(rank) if axis not in axes]
    front = graph.op("Transpose", x, perm_i=[*axes, *rest])
    _, places = to_places(graph, columns)
    found = graph.op("GatherND", front, places)
    if axes != list(range(axes[0], axes[-1] + 1)) or axes[0] == 0:
        return found
    # NumPy's rule, and PyTorch's: adjacent axes are replaced in their place.
    wide = max(map(_rank, columns))
    before = [wide + axis for axis in range(axes[0])]
    behind = range(wide + axes[0], wide + len(rest))
    return graph.op("Transpose", found, perm_i=[*before, *range(wide), *behind])


def _columns(graph: Any, index: Any) -> list[Any]:
    """Return an index for each axis; a mask of several axes gives one for each of them."""
    kind = str(index.type())
    if not (symbolic_helper._is_bool(index) or "Byte" in kind):  # noqa: SLF001
        return [graph.op("Cast", index, to_i=INT64)]
    places = graph.op("NonZero", index)
    return [
        graph.op("Gather", places, graph.op("Constant", value_t=torch.tensor(axis)), axis_i=0)
        for axis in range(_rank(index))
    ]


def to_places(graph: Any, columns: Sequence[Any]) -> tuple[Any, Any]:
    """Return the common shape of indices, and all of them stacked along a last axis.

    Args:
        columns: an int64 index for each axis; they are broadcast to each other.
    """
    whole = columns[0]
    for column in columns[1:]:
        whole = graph.op("Add", whole, column)
    shape = graph.op("Shape", whole)
    last = graph.op("Constant", value_t=torch.tensor([-1]))
    parts = [graph.op("Unsqueeze", graph.op("Expand", each, shape), last) for each in columns]
    return shape, graph.op("Concat", *parts, axis_i=-1)


def _unpacked(indices: Any) -> list[Any]:
    if symbolic_helper._is_packed_list(indices):  # noqa: SLF001
        return list(symbolic_helper._unpack_list(indices))  # noqa: SLF001
    return [indices]


def _is_slice(index: Any) -> bool:
    return bool(symbolic_helper._is_none(index))  # noqa: SLF001


def _rank(value: Any) -> int:
    rank = symbolic_helper._get_tensor_rank(value)  # noqa: SLF001
    if rank is None:
        raise ExportError("an index for several axes needs a known number of axes")
    return int(rank)
