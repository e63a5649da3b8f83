"""Does Python decide something from a tensor's values?

Tracing keeps the path that the sample took. So before a trace is trusted the model is run once
while every conversion of a tensor to a Python value is watched: ``if x.sum() > 0``, ``x.item()``,
``x.numpy()``. Shapes are plain integers here and do not count. Sampling cannot
replace this: an early exit that no random input takes would be lost in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from onnxpack.exporters.frames import Place, package_of, user_line

TO_PYTHON = {
    "__array__", "__bool__", "__complex__", "__contains__", "__float__", "__index__", "__int__",
    "allclose", "equal", "is_nonzero", "item", "numpy", "tolist",
}  # fmt: skip
"""Functions of torch that turn values of a tensor into Python's or numpy's."""

READS_VALUES = ("aten._local_scalar_dense.default", "aten.equal.default")
"""Operators that read values beneath Python."""

RECURRENT = ("torch.nn.modules.rnn", "torch.nn.utils.rnn")
"""Modules that read the lengths of packed sequences, which tracing keeps as tensors."""


def find_conversions(run: Callable[[], Any]) -> tuple[Place, ...]:
    """Run, and return each place in the user's code that depends on a tensor's values."""
    found: dict[Place, None] = {}
    with _Functions(found), _Operators(found):
        run()
    return tuple(found)


class _Functions(TorchFunctionMode):
    """Sees the functions that turn a tensor into something of Python's or numpy's."""

    def __init__(self, found: dict[Place, None]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in TO_PYTHON:
            _note(self._found)
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what Python functions do not: a slice bound that is a tensor, for one."""

    supports_higher_order_operators = True

    def __init__(self, found: dict[Place, None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if str(func) in READS_VALUES:
            _note(self._found)
        return func(*args, **(kwargs or {}))


def _note(found: dict[Place, None]) -> None:
    line = user_line(_asks_for_the_user)
    if line is not None:
        found[line] = None


def _asks_for_the_user(module: str) -> bool:
    """What torch and numpy do for the user's line is the user's doing; but for packed sequences."""
    return package_of(module) in ("torch", "numpy") and module not in RECURRENT
