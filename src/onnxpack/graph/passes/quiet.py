"""Silence libraries that transform graphs: they print, log, warn and draw progress bars.

Only output of the calling thread is hidden; other threads still print and log. Warnings are ignored
in all threads while a pass runs.
"""

from __future__ import annotations

import builtins
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

_LOCK = threading.RLock()
"""Only one thread at a time may replace parts of the process."""
_SILENT, _WARNING = 4, 2
"""ONNX Runtime's log severities: fatal errors only, and its own default."""


@contextmanager
def quiet() -> Iterator[None]:
    """Hide this thread's output, logs and warnings, and restore the root logger at the end."""
    with _LOCK, ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(_replaced(logging.Logger, "callHandlers", _say_nothing))
        stack.enter_context(_replaced(builtins, "print", _say_nothing))
        stack.enter_context(_root_logger_kept())
        ort = load_onnxruntime()
        # Compiled code writes to the process's standard error directly, not through Python.
        ort.set_default_logger_severity(_SILENT)
        stack.callback(ort.set_default_logger_severity, _WARNING)
        yield


def load_onnxruntime() -> ModuleType:
    """Import onnxruntime, with its telemetry off unless the user chose otherwise."""
    late = "onnxruntime" in sys.modules and "ORT_DISABLE_TELEMETRY" not in os.environ
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    if late:
        onnxruntime.disable_telemetry_events()
    return onnxruntime


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Undo ``logging.basicConfig``: onnxruntime 1.32 calls it in ``matmul_nbits_quantizer``."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@contextmanager
def _replaced(holder: Any, name: str, ours: Callable[..., Any]) -> Iterator[None]:
    """Replace a function for this thread; other threads still call the original one."""
    plain, owner = getattr(holder, name), threading.get_ident()

    def call(*args: Any, **options: Any) -> Any:
        chosen = ours if threading.get_ident() == owner else plain
        return chosen(*args, **options)

    setattr(holder, name, call)
    try:
        yield
    finally:
        setattr(holder, name, plain)


def _say_nothing(*_args: Any, **_options: Any) -> None:
    return None
