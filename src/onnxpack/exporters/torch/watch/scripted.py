"""Find reads in TorchScript of what was written through another view of the same memory.

The check of :mod:`onnxpack.exporters.torch.watch.writes` for a run is done here for a graph, which
shows every branch, also those that no run takes. PyTorch itself states which values may share their
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from onnxpack.errors import ExportError
from onnxpack.exporters.silence import hidden
from onnxpack.exporters.torch.watch.writes import FOLLOWED, PARTS

OF_TORCH = ("site-packages/torch/", "code/__torch__/torch/")
"""Path parts of torch's own functions, in a library and in a saved script."""


def refuse_lost_writes(module: torch.nn.Module) -> None:
    """Raise an error if the exporter would lose an in-place write of a scripted module.

    Raises:
        ExportError: there is such a write.
    """
    graph: Any = getattr(_without_training(module), "inlined_graph", None)
    if graph is None:  # a scripted module without forward() has none
        return
    steps = list(walk(graph))
    values = [*graph.inputs(), *(value for step in steps for value in step.node.outputs())]
    share = _sharing(graph.alias_db(), steps)
    for place, step in enumerate(steps):
        target = _target(step.node)
        if target is None:
            continue
        known = _known_as(_followed(step.node, target), steps)
        # A view that is taken after the write is a view of the written value. A loop or
        # branch around the write comes before it here, so the values that it passes on are checked.
        fresh = {each.debugName() for later in steps[place:] for each in later.node.outputs()}
        for value in values:
            if value.debugName() in fresh:
                continue
            stale = value.debugName() not in known and share(value, target)
            if stale and any(_is_after(use.user, step, value) for use in value.uses()):
                raise ExportError(
                    "a value written in place is read through another view; the exporter would "
                    f"lose that write: {str(step.node).strip()}",
                    remedy="write it without views: x = torch.where(mask, value, x)",
                )


def _without_training(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy in which ``if self.training`` is resolved, or the module if that fails.

    Every BatchNorm has such a branch, which counts its batches in place.
    """
    try:
        with hidden():
            frozen: torch.nn.Module = torch.jit.freeze(module, optimize_numerics=False)
            return frozen
    except Exception:  # noqa: BLE001 - what cannot be frozen is looked at whole
        return module


def raises_errors(module: torch.nn.Module) -> bool:
    """Return whether a scripted module has a ``raise`` or ``assert``, which no graph keeps.

    Those in torch's own functions check shapes.
    """
    graph: Any = getattr(module, "inlined_graph", None)
    if graph is None:
        return False
    places = [
        step.node.sourceRange()
        for step in walk(graph)
        if step.node.kind() == "prim::RaiseException"
    ]
    return not all(any(home in place for home in OF_TORCH) for place in places)


def _sharing(aliases: Any, steps: list[_Step]) -> Callable[[Any, Any], bool]:
    """Return a function that says whether two values may share memory, also by an einsum.

    An einsum of one operand is a view. Its schema does not say so (PyTorch 2.14), and ``aliases``
    does not know it.
    """
    hidden = [step.node for step in steps if step.node.kind() == "aten::einsum"]

    def share(value: Any, other: Any) -> bool:
        may: Callable[[Any, Any], bool] = aliases.may_contain_alias
        return may(value, other) or any(
            may(first, node.output()) and any(may(second, given) for given in node.inputs())
            for node in hidden
            for first, second in ((value, other), (other, value))
        )

    return share


@dataclass(frozen=True)
class _Step:
    """A node, and the loops that contain it."""

    node: Any
    loops: tuple[Any, ...]


def walk(block: Any, loops: tuple[Any, ...] = ()) -> Iterator[_Step]:
    """Yield every node of a graph in order, also those of its branches and loops."""
    for node in block.nodes():
        yield _Step(node, loops)
        inner = (*loops, node) if node.kind() == "prim::Loop" else loops
        for each in node.blocks():
            yield from walk(each, inner)


def _target(node: Any) -> Any:
    """Return the tensor that a node writes to; None if there is none. Lists are not memory."""
    if not node.kind().startswith("aten::"):
        return None
    schema = torch._C.parse_schema(node.schema())  # noqa: SLF001
    for place, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            target = node.inputsAt(place)
            return target if target.type().kind() == "TensorType" else None
    return None


def _followed(node: Any, target: Any) -> Any:
    """Return what the exporter treats as written: all of ``x`` in ``x[0, 1:] = value``."""
    if _name(node) in FOLLOWED:
        while _name(target.node()) in PARTS:
            target = target.node().inputsAt(0)
    return target


def _known_as(value: Any, steps: list[_Step]) -> set[str]:
    """Return the names under which the exporter continues with a written value."""
    known = {value.debugName()}
    size = 0
    while size < len(known):
        size = len(known)
        for step in steps:
            target = _target(step.node)
            if target is not None:
                same = {each.debugName() for each in (target, *step.node.outputs())}
                known |= same if same & known else set()
            for block in step.node.blocks():
                known.update(_carried(step.node, block, known))
    return known


def _carried(node: Any, block: Any, known: set[str]) -> Iterator[str]:
    """Yield the names under which a branch or a loop passes on the known values."""
    returned = [each.debugName() for each in block.outputs()]
    loop = node.kind() == "prim::Loop"
    parameters = list(block.inputs())[1:]  # the first counts the iterations
    for place, name in enumerate(returned[1:] if loop else returned):
        if name in known:
            yield node.outputsAt(place).debugName()
            if loop:
                yield parameters[place].debugName()


def _is_after(user: Any, write: _Step, value: Any) -> bool:
    """Return whether a node reads a value after a write, or in the next iteration of a loop."""
    if user.kind() == "prim::Return" or user.isAfter(write.node):
        return True
    return any(_holds(loop, user) and not _holds(loop, value.node()) for loop in write.loops)


def _holds(loop: Any, node: Any) -> bool:
    return any(step.node == node for block in loop.blocks() for step in walk(block))


def _name(node: Any) -> str:
    return str(node.kind()).partition("::")[2]
