"""Exporters warn, log and print a great deal; a user reads our words instead."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from contextvars import ContextVar
from pathlib import Path

SHOWN: ContextVar[bool] = ContextVar("SHOWN", default=False)
"""Whether the noise of exporters is let through."""


@contextmanager
def hidden() -> Iterator[None]:
    """Hold back warnings, logs and prints, those of compiled code too, unless they are wanted."""
    if SHOWN.get():
        yield
        return
    before = logging.root.manager.disable
    with warnings.catch_warnings(), _no_output():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)


@contextmanager
def _no_output() -> Iterator[None]:
    """The process's standard output and error go nowhere, and so do Python's.

    Compiled code prints past Python; and a notebook's ``sys.stdout`` is not descriptor 1.
    """
    _flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        try:
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
