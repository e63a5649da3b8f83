"""Find out whether Python decides something by a size that varies.

A tracer hands out sizes as tensors, so that they may flow into other tensors. Where the user's code
turns one into a Python value instead (``if x.shape[0] > 16``, ``range(x.shape[0])``), or splits a
tensor along it (``for row in x``), the trace is valid only for that size. On a fixed axis this does
no harm. Tracing at two sizes distinguishes the two: what was learned about fixed axes is the same
in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch._C import (  # type: ignore[attr-defined]
    _get_tracing_state,
    _get_value_trace,
    _set_tracing_state,
)
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.overrides import TorchFunctionMode

from onnxpack.exporters.classes import StandIn
from onnxpack.exporters.frames import Place, user_line
from onnxpack.exporters.replaced import replaced
from onnxpack.exporters.torch.watch.values import TO_PYTHON

CONVERTS = TO_PYTHON | {"__format__", "__hash__", "__repr__", "__round__", "__str__"}
TAKES_APART = {"chunk": 2, "split": 2, "tensor_split": 2, "unbind": 1, "unsafe_chunk": 2}
"""Functions that return as many tensors as a size says, with the position of their ``dim``."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A place where Python learned something about sizes, and those sizes.

    Attributes:
        sizes: the sizes; None for a value that cannot be traced back to a size.
    """

    place: Place
    sizes: tuple[int | None, ...]


def differing(first: Sequence[Learned], second: Sequence[Learned]) -> list[Place]:
    """Return the places where two traces, at different dynamic sizes, learned different things."""
    pairs = zip_longest(first, second)
    places = {
        known.place: None
        for one, other in pairs
        if (known := one or other) and (one != other or None in known.sizes)
    }
    return list(places)


@contextmanager
def watch_trace() -> Iterator[list[Learned]]:
    """Record what the user's Python code learns about sizes, in order, during a trace."""
    found: list[Learned] = []
    with _Functions(found), _hashes(found):
        yield found


class _Functions(TorchFunctionMode):
    def __init__(self, found: list[Learned]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in CONVERTS:
            _note(self._found, lambda: _sizes_behind(args[0]))
        elif name in TAKES_APART:
            _note(self._found, lambda: (_size_along(name, args, kwargs or {}),))
        return func(*args, **(kwargs or {}))


@contextmanager
def _hashes(found: list[Learned]) -> Iterator[None]:
    """Record sizes that are looked up in a dict or set, which torch shows to no mode."""
    plain: Any = torch.Tensor.__hash__

    def watched(tensor: torch.Tensor) -> int:
        _note(found, lambda: _sizes_behind(tensor))
        return int(plain(tensor))

    with replaced(torch.Tensor, "__hash__", watched):
        yield


def _note(found: list[Learned], sizes: Callable[[], tuple[int | None, ...]]) -> None:
    place = user_line(_methods_of_tensors)
    if place is not None and _get_tracing_state():
        found.append(Learned(place, sizes()))


# Made here, since no mode is on: in a FakeTensorMode they would have no values either.
TENSOR = torch.empty(0)
WEIGHT = torch.nn.Parameter(TENSOR)


def stands_in(thing: Any) -> StandIn | None:
    """Return the stand-in for things that exist only in a trace: symbols, sizes, fake tensors."""
    if isinstance(thing, torch.SymInt) or _is_traced_size(thing):
        return StandIn(1)
    if isinstance(thing, FakeTensor | FunctionalTensor):
        return StandIn(WEIGHT if isinstance(thing, torch.nn.Parameter) else TENSOR)
    return None


def _is_traced_size(thing: Any) -> bool:
    if not isinstance(thing, torch.Tensor) or thing.dim() or thing.dtype is not torch.int64:
        return False
    sizes = _sizes_behind(thing) if _get_tracing_state() else ()
    return bool(sizes) and None not in sizes


def _methods_of_tensors(module: str) -> bool:
    """Return whether a module implements ``len(x)`` and similar; torch's layers handle tracing."""
    return module in ("torch._tensor", "torch.functional", "torch.overrides")


def _sizes_behind(tensor: torch.Tensor) -> tuple[int | None, ...]:
    """Return every size that a traced value was computed from."""
    sizes: list[int | None] = []
    open_values = [_get_value_trace(tensor)]
    seen: set[str] = set()
    while open_values:
        node = open_values.pop().node()
        inputs = [value for value in node.inputs() if value.debugName() not in seen]
        seen.update(value.debugName() for value in inputs)
        if node.kind() == "aten::size":
            sizes.append(_stated_size(*node.inputs()))
        elif node.kind() == "prim::Param":
            sizes.append(None)
        else:
            open_values += inputs
    return tuple(sizes)


def _stated_size(value: Any, axis: Any) -> int | None:
    shape = value.type().sizes() if value.isCompleteTensor() else None
    return None if shape is None else int(shape[axis.toIValue()])


def _size_along(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> int:
    place = TAKES_APART[name]
    axis = kwargs.get("dim", args[place] if len(args) > place else 0)
    tracing = _get_tracing_state()
    _set_tracing_state(None)
    try:
        return int(args[0].shape[axis])
    finally:
        _set_tracing_state(tracing)
