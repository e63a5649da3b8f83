"""Decompose operators of ``torch.export`` programs that return views despite their schema.

``torch.einsum("ij->ji", x)`` is ``x.permute(1, 0)``: the same memory under other strides. Its
schema promises a new tensor, and ``torch.onnx.export`` (PyTorch 2.14) keeps the operator whole
because ONNX has an Einsum. In-place writes to the view are then lost for ``x``. Once decomposed
into their views, such operators share their memory in the graph as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from onnxpack.errors import ExportError

DROPOUTS = (torch.ops.aten.dropout.default, torch.ops.aten.alpha_dropout.default)
LOST = "a view that torch.onnx.export treats as a copy is written to in place, the result of "


def with_known_views(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Return a program in which all views are declared, if it writes in place at all.

    Raises:
        ExportError: an operator with an undeclared view cannot be decomposed.
    """
    _leave_out_dropout(program.graph_module)
    hidden = _hidden_views(program)
    if not hidden:
        return program
    known = torch.export.default_decompositions()
    for operator in hidden:
        if operator not in known:
            raise ExportError(f"{LOST}{operator}")
    decomposed = {each: known[each] for each in hidden}
    mended: torch.export.ExportedProgram = program.run_decompositions(decomposed)
    left = _hidden_views(mended)
    if left:
        raise ExportError(f"{LOST}{left[0]}")
    return mended


def _leave_out_dropout(module: torch.nn.Module) -> None:
    """Remove dropout in eval mode, which returns its argument itself."""
    for node in list(_nodes(module)):
        if node.target in DROPOUTS and node.args[2:] == (False,):
            node.replace_all_uses_with(node.all_input_nodes[0])
            node.graph.erase_node(node)


def _hidden_views(program: torch.export.ExportedProgram) -> list[Any]:
    """Return the operators that hide a view; none if the program writes nothing in place."""
    nodes = [node for node in _nodes(program.graph_module) if _schema(node) is not None]
    if not any(_schema(node).is_mutable for node in nodes):
        return []
    return list(dict.fromkeys(node.target for node in nodes if _hides_a_view(node)))


def _nodes(module: torch.nn.Module) -> Iterator[torch.fx.Node]:
    """Yield the nodes of a graph and of the branches in it."""
    for part in module.modules():
        if isinstance(part, torch.fx.GraphModule):
            yield from part.graph.nodes


def _schema(node: torch.fx.Node) -> Any:
    return getattr(node.target, "_schema", None)


def _hides_a_view(node: torch.fx.Node) -> bool:
    if any(argument.alias_info is not None for argument in _schema(node).arguments):
        return False
    if node.target is torch.ops.aten.lift_fresh_copy.default:
        return False  # a constant of the code, as a tensor that nothing else has
    given = {memory for each in node.all_input_nodes for memory in _memories(each)}
    return any(memory in given for memory in _memories(node))


def _memories(node: torch.fx.Node) -> Iterator[int]:
    """Yield the memory of a node's answer; recorded tensors share storages as real ones do."""
    for leaf in tree_leaves(node.meta.get("val")):
        if isinstance(leaf, torch.Tensor) and leaf.layout is torch.strided:
            yield int(leaf.untyped_storage()._cdata)  # noqa: SLF001
