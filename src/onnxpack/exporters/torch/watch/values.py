"""Does Python decide something from a tensor's values?

Tracing keeps the path that the sample took. So before a trace is trusted the model is run once
while every conversion of a tensor to a Python value is watched: ``if x.sum() > 0``, ``x.item()``,
``x.numpy()``. Shapes are plain integers here and do not count. Sampling cannot replace this: an
early exit that no random input takes would be lost in silence.
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

TO_PYTHON = {
    "__array__", "__bool__", "__complex__", "__contains__", "__float__", "__index__", "__int__",
    "allclose", "equal", "is_nonzero", "item", "numpy", "tolist",
}  # fmt: skip
"""Functions of torch that turn values of a tensor into Python's or numpy's."""

READS_VALUES = ("aten._local_scalar_dense.default", "aten.equal.default")
"""Operators that do so beneath Python."""

TRACE_AWARE = ("torch", "torchvision", "onnxpack")
"""Packages whose own conversions are written with tracing in mind."""

RECURRENT = ("torch.nn.modules.rnn", "torch.nn.utils.rnn")
"""They read the lengths of packed sequences, which tracing keeps as tensors."""

SPELLED = (
    "arithmetic", "complexes", "deform", "division", "index", "linear", "mode", "order", "pools",
    "sparse",
)  # fmt: skip
WATCHERS = (
    __name__,
    "onnxpack.exporters.replaced",
    "onnxpack.exporters.torch.watch.gradients",
    "onnxpack.exporters.torch.watch.calls",
    "onnxpack.exporters.torch.watch.sizes",
    *(f"onnxpack.exporters.torch.decompose.{name}" for name in SPELLED),
    "onnxpack.exporters.torch.watch.nondeterminism",
)

Within: TypeAlias = Callable[[str], bool]
"""Whether a frame of this module is looked past, towards the one that called it."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A place in the user's code where a tensor's value became a Python value."""

    file: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}: {self.code}"


def find_conversions(run: Callable[[], Any]) -> tuple[Conversion, ...]:
    """Run, and tell each place in the user's code that depends on a tensor's values."""
    found: dict[Conversion, None] = {}
    with _Functions(found), _Operators(found):
        run()
    return tuple(found)


def user_line(within: Within) -> Conversion | None:
    """The line of the user's code that is running; None where a library's own line is."""
    frame = inspect.currentframe()
    while frame is not None and (_module(frame) in WATCHERS or within(_module(frame))):
        frame = frame.f_back
    if frame is None or _module(frame).partition(".")[0] in TRACE_AWARE:
        return None
    file, line = frame.f_code.co_filename, frame.f_lineno
    return Conversion(file, line, linecache.getline(file, line).strip())


def of_torch(module: str) -> bool:
    """Whether it is torch's own: what it does for the user's line is the user's doing."""
    return module.partition(".")[0] == "torch"


class _Functions(TorchFunctionMode):
    """Sees the functions that turn a tensor into something of Python's or numpy's."""

    def __init__(self, found: dict[Conversion, None]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in TO_PYTHON:
            _note(self._found)
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what Python functions do not: a slice bound that is a tensor, for one."""

    supports_higher_order_operators = True

    def __init__(self, found: dict[Conversion, None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(func) in READS_VALUES:
            _note(self._found)
        return func(*args, **(kwargs or {}))


def _note(found: dict[Conversion, None]) -> None:
    line = user_line(_asks_for_the_user)
    if line is not None:
        found[line] = None


def _asks_for_the_user(module: str) -> bool:
    """What torch and numpy do for the user's line is the user's doing; but for packed sequences."""
    return module.partition(".")[0] in ("torch", "numpy") and module not in RECURRENT


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
