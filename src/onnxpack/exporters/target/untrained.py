"""Notice a PyTorch model that was made with random weights, and into which none were loaded."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnxpack.exporters.replaced import replaced

_CODE = frozenset({".py", ".pyc", ".so"})
_SYSTEM = tuple(map(Path, (sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev")))
_heard: set[str] | None = None
"""Files of data that Python opened during the call that is watched; None between calls."""


def call_watched(make: Callable[[], Any]) -> tuple[Any, bool]:
    """Call a function, and return its model and whether the model seems to be untrained.

    A module of PyTorch with parameters seems to be, if the call drew random numbers, but loaded no
    state, opened no file of data, and left no gradient.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return make(), False
    loaded: list[object] = []
    plain = torch.nn.Module.load_state_dict

    def load_state_dict(*args: Any, **options: Any) -> Any:
        loaded.append(args[0])
        return plain(*args, **options)

    before = torch.get_rng_state()
    with replaced(torch.nn.Module, "load_state_dict", load_state_dict):
        model, opened = _following_files(make)
    parameters = list(model.parameters()) if isinstance(model, torch.nn.Module) else []
    trained = loaded or opened or any(each.grad is not None for each in parameters)
    drew = not torch.equal(before, torch.get_rng_state())
    return model, bool(parameters) and drew and not trained


def _following_files(make: Callable[[], Any]) -> tuple[Any, set[str]]:
    """Call a function, and return its result and the files of data that it opened."""
    global _heard  # noqa: PLW0603 - an audit hook can be told nothing
    _install_hook()
    _heard = set()
    try:
        return make(), _heard
    finally:
        _heard = None


@functools.cache
def _install_hook() -> None:
    """Follow what Python opens; an audit hook stays for good (PEP 578), so there is only one."""
    sys.addaudithook(_hear)


def _hear(event: str, args: tuple[Any, ...]) -> None:
    if event == "open" and _heard is not None and isinstance(args[0], str):
        path = Path(args[0])
        if path.suffix not in _CODE and not any(map(path.is_relative_to, _SYSTEM)):
            _heard.add(args[0])
