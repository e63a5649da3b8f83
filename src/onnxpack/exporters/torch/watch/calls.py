"""Which line of the user's code calls an operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from onnxpack.exporters.torch.watch.frames import Place, of_torch, user_line


def find_call(operator: str, run: Callable[[], Any]) -> Place | None:
    """Run, and tell where the operator, such as ``aten::lgamma``, is first called."""
    name = operator.replace(".", "::").partition("::")[2]
    found: list[Place] = []

    def note(called: str) -> None:
        place = None if found or called.rstrip("_") != name else user_line(of_torch)
        found.extend([place] if place else [])

    with _Functions(note), _Operators(note):
        run()
    return found[0] if found else None


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
