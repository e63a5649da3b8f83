"""Run a profile function without disturbing the user's own profiler."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def profiled(function: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    """Call ``function`` at every call and return in this thread, then restore the profiler."""
    before: Any = sys.getprofile()
    sys.setprofile(function)
    try:
        yield
    finally:
        # cProfile cannot be set as a function; it is enabled again instead.
        if before is None or callable(before):
            sys.setprofile(before)
        else:
            before.enable()
