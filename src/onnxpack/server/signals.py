"""The signals that end a server: SIGTERM, and SIGINT, which Ctrl-C sends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def handled(handle: Callable[[int], None]) -> Iterator[None]:
    """Call a function with the number of each signal, and restore the handlers at the end.

    Python handles signals only in the main thread; in another thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def call(number: int, _frame: FrameType | None) -> None:
        handle(number)

    before = [signal.signal(number, call) for number in ENDING]
    try:
        yield
    finally:
        for number, handler in zip(ENDING, before, strict=True):
            signal.signal(number, handler)
