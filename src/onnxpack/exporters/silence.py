"""Hide the warnings, log records and prints of the frameworks' exporters.

Only output of the exporting thread itself is hidden, and only Python's: warnings, log records and
``print``. ``sys.stdout``, ``sys.stderr`` and the file descriptors are not redirected, and other
threads are not affected. What compiled code writes directly to the descriptors 1 and 2 can be
hidden only in a process of our own. The command line does so, see :func:`descriptors_hidden`.
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
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from onnxpack.exporters.replaced import replaced

SHOWN: ContextVar[bool] = ContextVar("SHOWN", default=False)
"""Whether the output of exporters is shown."""
_OWN_PROCESS: ContextVar[bool] = ContextVar("_OWN_PROCESS", default=False)
"""Whether the process is ours, so that its file descriptors may be redirected."""


@contextmanager
def hidden() -> Iterator[None]:
    """Hide the warnings, log records and prints of this thread, unless they are to be shown."""
    if SHOWN.get():
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(_no_warnings())
        # callHandlers is the last step, so a subclass of Logger (absl's, for JAX) goes through it.
        stack.enter_context(replaced(logging.Logger, "callHandlers", _drop))
        stack.enter_context(replaced(builtins, "print", _printing_to_files(print)))
        if _OWN_PROCESS.get():
            stack.enter_context(_no_output())
        yield


@contextmanager
def descriptors_hidden() -> Iterator[None]:
    """Let :func:`hidden` redirect the descriptors 1 and 2 too; only for a process of our own."""
    token = _OWN_PROCESS.set(True)
    try:
        yield
    finally:
        _OWN_PROCESS.reset(token)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Ignore the warnings of this thread.

    ``warnings.catch_warnings`` would silence every thread, and two threads that use it at a time
    leave the filters of one behind (Python 3.11). So one filter is added, whose category matches
    only in this thread and only while the context is open. The list itself is not replaced.
    """
    owners = {threading.get_ident()}

    class InThisThread(type):
        def __subclasscheck__(cls, _: type) -> bool:
            return threading.get_ident() in owners

    category: Any = InThisThread("InThisThread", (Warning,), {})
    try:
        warnings.simplefilter("ignore", category)
        yield
    finally:
        owners.clear()
        for entry in [each for each in warnings.filters if each[2] is category]:
            warnings.filters.remove(entry)  # type: ignore[attr-defined]  # a list in CPython


def _drop(_logger: logging.Logger, _record: logging.LogRecord) -> None:
    return None


def _printing_to_files(plain: Callable[..., None]) -> Callable[..., None]:
    """Return a ``print`` that writes to files, and not to the standard streams."""

    def call(*values: object, file: Any = None, **options: Any) -> None:
        if not any(file is stream for stream in (None, sys.stdout, sys.stderr)):
            plain(*values, file=file, **options)

    return call


@contextmanager
def _no_output() -> Iterator[None]:
    """Redirect the descriptors 1 and 2 of the process to nowhere."""
    _flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        with Path(os.devnull).open("w") as nowhere:
            for number in kept:
                os.dup2(nowhere.fileno(), number)
        yield
    finally:
        _flush()
        for number, original in kept.items():
            os.dup2(original, number)
            os.close(original)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
