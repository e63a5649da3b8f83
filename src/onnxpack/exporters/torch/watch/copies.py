"""Find in-place writes to views that a graph keeps as copies.

Some functions return views in PyTorch, but new tensors in the form that an exporter can write:
``x.unfold(1, 3, 1)`` looks up every window, and a transposed complex tensor is made of its parts.
Without in-place writes this makes no difference. So the model runs once unchanged, and each read
through one of the two after a write through the other is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from onnxpack.errors import ExportError
from onnxpack.exporters.frames import of_torch, user_line
from onnxpack.exporters.torch.decompose.complexes import ON_PARTS
from onnxpack.exporters.torch.decompose.outside import crops_told
from onnxpack.exporters.torch.watch.writes import dense_tensors, memory_of, target_of


@dataclass
class Copies:
    """The reads and writes of memory that a graph holds twice.

    Attributes:
        stale: lines that write to one of two copies, after which the other is read.
    """

    stale: dict[str, None] = field(default_factory=dict)
    _memories: dict[int, _Memory] = field(default_factory=dict)
    _groups: dict[int, tuple[Tensor, int]] = field(default_factory=dict)

    def copied(self, view: Any, whole: Any) -> None:
        """Record that a graph has a copy where the model has this view."""
        if not (isinstance(view, Tensor) and isinstance(whole, Tensor)) or view is whole:
            return
        if memory_of(view) == memory_of(whole):
            memory = self._memories.setdefault(memory_of(view), _Memory())
            memory.seen.append(memory.writes)
            # Kept alive, so that no other object takes the identity of the tensor or its memory.
            self._groups[id(view)] = (view, len(memory.seen) - 1)

    def note(self, operator: Any, arguments: Any, result: Any) -> None:
        """Record what an operator has read and written."""
        if not self._memories:
            return
        given = [each for each in dense_tensors(arguments) if memory_of(each) in self._memories]
        for tensor in given:
            self._read(tensor)
        target = target_of(operator, arguments)
        if target is not None and memory_of(target) in self._memories:
            memory = self._memories[memory_of(target)]
            memory.writes += 1
            memory.line = str(user_line(of_torch) or "a library's own line")
            memory.seen[self._group(target)] += 1
        for tensor in dense_tensors(result):
            source = next((each for each in given if memory_of(each) == memory_of(tensor)), None)
            if source is not None:
                self._groups.setdefault(id(tensor), (tensor, self._group(source)))

    def returned(self, outputs: Any) -> None:
        """Record that the caller reads the model's answer."""
        for tensor in dense_tensors(outputs):
            if memory_of(tensor) in self._memories:
                self._read(tensor)

    def refuse(self, model: str) -> None:
        """Raise an error if the model writes in place to a view that every graph copies.

        Raises:
            ExportError: there is such a write.
        """
        if self.stale:
            raise ExportError(
                f"{model} was not exported: a value written in place is read through another "
                "view of the same memory, but a graph has a copy of it: "
                f"{next(iter(self.stale))}.",
                remedy="write it without views: x = torch.where(mask, value, x)",
            )

    def _read(self, tensor: Tensor) -> None:
        memory = self._memories[memory_of(tensor)]
        if memory.seen[self._group(tensor)] < memory.writes:
            self.stale[memory.line] = None

    def _group(self, tensor: Tensor) -> int:
        return self._groups.get(id(tensor), (tensor, 0))[1]


@dataclass
class _Memory:
    """Memory that a graph holds as several copies.

    Attributes:
        writes: the number of writes to the memory.
        line: the last line that wrote to it.
        seen: the number of writes that reached the whole, then for each copy.
    """

    writes: int = 0
    line: str = ""
    seen: list[int] = field(default_factory=lambda: [0])


@contextmanager
def watch_copies() -> Iterator[Copies]:
    """Record what a graph would read too late, while a model answers in plain Python."""
    found = Copies()
    with _Functions(found), _Operators(found), crops_told(found.copied):
        yield found


class _Functions(TorchFunctionMode):
    """Watches functions whose replacement in a graph copies."""

    def __init__(self, found: Copies) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        whole = args[0] if args and isinstance(args[0], Tensor) else None
        if whole is not None and whole.layout is torch.strided:
            parts = whole.is_complex() and getattr(func, "__name__", "") in ON_PARTS
            if parts or func is Tensor.unfold:
                self._found.copied(result, whole)
        return result


class _Operators(TorchDispatchMode):
    """Records each operator, which may read and write memory."""

    supports_higher_order_operators = True

    def __init__(self, found: Copies) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._found.note(func, (args, kwargs or {}), result)
        return result
