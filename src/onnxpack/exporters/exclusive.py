"""Run one export at a time, and restore the process's settings after it."""

from __future__ import annotations

import logging
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import numpy as np

from onnxpack.exporters.replaced import LOCK
from onnxpack.exporters.silence import SHOWN

Setting: TypeAlias = tuple[Callable[[], Any], Callable[[Any], Any]]
"""Functions that read and set a setting of the process."""


@contextmanager
def exclusive() -> Iterator[None]:
    """Hold the lock of all exports, and restore the process's settings at the end.

    The model's own code runs in between, and may draw random numbers or change any setting.
    """
    with LOCK, settings_kept(PROCESS):
        yield


@contextmanager
def settings_kept(settings: Iterable[Setting]) -> Iterator[None]:
    """Restore each setting at the end, also where the restoration of another one fails."""
    with ExitStack() as stack:
        for read, write in settings:
            stack.callback(write, read())
        yield


def _set_filters(before: list[Any]) -> None:
    if warnings.filters != before:
        warnings.filters[:] = before  # type: ignore[index]  # a list in CPython


def _set_streams(before: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = before


PROCESS: tuple[Setting, ...] = (
    (SHOWN.get, SHOWN.set),
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (lambda: logging.root.manager.disable, logging.disable),
    (lambda: list(warnings.filters), _set_filters),
    (lambda: (sys.stdout, sys.stderr), _set_streams),
)
"""Settings that any Python code can change for the whole process."""
