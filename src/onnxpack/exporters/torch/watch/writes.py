"""Find reads of what was written through another view of the same memory.

The TorchScript exporter turns in-place writes into new values. It knows that ``x[:, 0] = 1``
changes ``x``. It does not know of other views of the memory:
``flat = x.view(-1); flat[flat < 0] = 0`` silently leaves ``x`` unchanged in the graph (PyTorch
2.14). A write that rarely changes anything passes every case of the proof. So a trace is trusted
only if no view is read after a write through another view.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from onnxpack.exporters.frames import of_torch, user_line

FOLLOWED = ("copy_", "fill_")
"""The writes of ``x[0, 1:] = value`` that the exporter applies to ``x``."""
PARTS = ("select", "slice")
"""The views through which the exporter follows such a write. It loses that of
``x[None, 0] = value``."""


@dataclass
class Writes:
    """The in-place writes and the reads of a run, recorded operator by operator.

    Attributes:
        stale: the lines that read a value that was written through another view.
    """

    stale: dict[str, None] = field(default_factory=dict)
    _views: dict[int, _View] = field(default_factory=dict)
    _written: dict[int, int] = field(default_factory=dict)
    _assigned: torch.Tensor | None = None

    def note(self, operator: Any, arguments: Any, result: Any) -> None:
        """Record what an operator that has run read and wrote."""
        name = getattr(getattr(operator, "overloadpacket", None), "__name__", "")
        target = target_of(operator, arguments)
        given, made = list(dense_tensors(arguments)), list(dense_tensors(result))
        if target is None and not made:
            return  # a question about the device or a size: values cannot be read in this run
        # An assignment looks up the part that it writes to, which is not read by that.
        looked_up = given[:1] if name in PARTS and self._is_assigned(given[0]) else []
        for tensor in given[len(looked_up) :]:
            self._read(tensor)
        if target is not None:
            self._write(name, target, given[1:])
            return
        for tensor in made:
            parent, count = given[0] if name in PARTS else None, self._writes_to(tensor)
            self._views[id(tensor)] = _View(tensor, count, parent, taken=count)

    def returned(self, outputs: Any) -> None:
        """Record that the caller reads the model's answer as well."""
        for tensor in dense_tensors(outputs):
            self._read(tensor)

    def assignments(self) -> AbstractContextManager[object]:
        """Return a context that recognises writes that are part of ``x[...] = value``."""
        return _Assignments(self)

    def _read(self, tensor: torch.Tensor) -> None:
        if self._view(tensor).seen < self._writes_to(tensor):
            self.stale[str(user_line(of_torch) or "a library's own line")] = None

    def _write(self, name: str, target: torch.Tensor, given: Sequence[torch.Tensor]) -> None:
        """Mark all views of the memory as stale, except the one that the exporter follows."""
        whole = self._assigned
        follows = whole is not None and name in FOLLOWED and self._is_part(target, whole)
        known = self._view(whole if whole is not None and follows else target)
        if follows and any(self._brings(source, target, known) for source in given):
            known.seen = self._writes_to(target)
        self._written[memory_of(target)] = self._writes_to(target) + 1
        known.seen += 1

    def _brings(self, source: torch.Tensor, target: torch.Tensor, whole: _View) -> bool:
        """Return whether an assignment passes on all writes that the whole has missed.

        For ``x[1:] += y``, Python writes to the part, and assigns it to its original place.
        """
        part = self._view(source)
        missed_only_its_own = whole.seen >= part.taken and part.seen == self._writes_to(target)
        return missed_only_its_own and _place_of(source) == _place_of(target)

    def _is_assigned(self, tensor: torch.Tensor) -> bool:
        return self._assigned is not None and self._is_part(tensor, self._assigned)

    def _writes_to(self, tensor: torch.Tensor) -> int:
        return self._written.get(memory_of(tensor), 0)

    def _is_part(self, tensor: torch.Tensor, whole: torch.Tensor) -> bool:
        part: torch.Tensor | None = tensor
        while part is not None and part is not whole:
            part = self._view(part).parent
        return part is whole

    def _view(self, tensor: torch.Tensor) -> _View:
        """Return the record of a tensor; one that no operator returned is as old as its memory."""
        return self._views.setdefault(id(tensor), _View(tensor, 0, None))


@dataclass
class _View:
    """A tensor, kept alive so that no other object takes its identity.

    Attributes:
        seen: the number of writes to the memory that have reached it.
        parent: the tensor that it is a part of, if any.
        taken: the number of writes at the time when it was taken.
    """

    tensor: torch.Tensor
    seen: int
    parent: torch.Tensor | None
    taken: int = 0


class _Assignments(TorchFunctionMode):
    def __init__(self, writes: Writes) -> None:
        super().__init__()
        self._writes = writes

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") != "__setitem__":
            return func(*args, **(kwargs or {}))
        outer, self._writes._assigned = self._writes._assigned, args[0]  # noqa: SLF001
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self._writes._assigned = outer  # noqa: SLF001


def target_of(operator: Any, arguments: Any) -> torch.Tensor | None:
    """Return the tensor that an operator writes to; None if there is none."""
    schema: Any = getattr(operator, "_schema", None)  # a higher-order operator has none
    if schema is None or not schema.is_mutable:
        return None
    args, kwargs = arguments
    for place, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found = kwargs.get(argument.name, args[place] if place < len(args) else None)
            if isinstance(found, torch.Tensor):
                return found
    return None


def dense_tensors(value: Any) -> Iterator[torch.Tensor]:
    """Yield the dense tensors among arguments or results; others have no shareable memory."""
    for leaf in tree_leaves(value):
        if isinstance(leaf, torch.Tensor) and leaf.layout is torch.strided:
            yield leaf


def _place_of(tensor: torch.Tensor) -> list[Any]:
    """Return the place of a tensor in memory, without a question about sizes that vary."""
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - no public name
        numbers = (memory_of(tensor), tensor.storage_offset(), *tensor.size(), *tensor.stride())
    return [getattr(getattr(each, "node", None), "expr", each) for each in numbers]


def memory_of(tensor: torch.Tensor) -> int:
    """Return the identity of a tensor's memory, unseen by the watches of torch's functions."""
    with torch._C.DisableTorchFunction():  # noqa: SLF001 - no public name
        return int(tensor.untyped_storage()._cdata)  # noqa: SLF001
