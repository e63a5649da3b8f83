"""Find decisions that Python makes by a tensor's values.

Tracing keeps the path that the sample took. So before a trace is trusted the model is run once
while every conversion of a tensor to a Python value is watched: ``if x.sum() > 0``, ``x.item()``,
``x.numpy()``. Shapes are plain integers here and do not count. Sampling cannot replace this: an
early exit that no random input takes would be lost silently.
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
"""Functions of torch that turn values of a tensor into Python's or NumPy's."""

READS_VALUES = ("aten._local_scalar_dense.default", "aten.equal.default")
"""Operators that read values below the level of Python."""

RECURRENT = ("torch.nn.modules.rnn", "torch.nn.utils.rnn")
"""Modules that read the lengths of packed sequences, which tracing keeps as tensors."""


def find_conversions(run: Callable[[], Any]) -> tuple[Place, ...]:
    """Run, and return each place in the user's code that depends on a tensor's values."""
    found: dict[Place, None] = {}
    with _Functions(found), _Operators(found):
        run()
    return tuple(found)


class _Functions(TorchFunctionMode):
    """Watches functions that turn a tensor into a Python or NumPy object."""

    def __init__(self, found: dict[Place, None]) -> None:
        super().__init__()
        self._found = found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in TO_PYTHON:
            _note(self._found)
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches reads of values that no Python function shows, such as a tensor as a slice bound."""

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
    """Return whether torch or NumPy code acts for the user's line; not for packed sequences."""
    return package_of(module) in ("torch", "numpy") and module not in RECURRENT
