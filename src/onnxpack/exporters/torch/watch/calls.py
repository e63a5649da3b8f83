"""Find the line of the user's code that calls an operator, and what the line calls."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Mapping
from functools import cache
from types import FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from onnxpack.exporters.catching import looked_up
from onnxpack.exporters.frames import Place, of_torch, user_line


def find_call(operator: str, run: Callable[[], Any]) -> Place | None:
    """Run, and return where the operator, such as ``aten::lgamma``, is first called."""
    name = operator.replace(".", "::").partition("::")[2]
    found: list[Place] = []

    def note(called: str) -> None:
        place = None if found or called.rstrip("_") != name else user_line(of_torch)
        found.extend([place] if place else [])

    with _Functions(note), _Operators(note):
        run()
    return found[0] if found else None


def calls_script(frame: FrameType) -> bool:
    """Return whether a frame is at a call of a TorchScript function.

    The C++ code of such a call asks ``torch.compiler.is_exporting()`` (PyTorch 2.14), as if the
    calling line asked.
    """
    steps = list(frame.f_code.co_positions())
    place = steps[frame.f_lasti // 2]  # an instruction takes two bytes
    source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    called = _calls(source).get(place)
    try:
        function = None if called is None else looked_up(called, frame)
    except (LookupError, AttributeError):
        return False
    return isinstance(function, torch.jit.ScriptFunction)


@cache
def _calls(source: str) -> Mapping[tuple[int | None, ...], ast.expr]:
    """Return what each call in a source calls, by the start and end positions of the call."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return {}
    return {
        (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset): node.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }


class _Functions(TorchFunctionMode):
    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._note(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


class _Operators(TorchDispatchMode):
    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._note = note

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._note(func.name().partition("::")[2].partition(".")[0])
        return func(*args, **(kwargs or {}))
