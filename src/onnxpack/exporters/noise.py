"""Exporters warn, log and print a great deal; a user reads our words instead."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
    """The process's standard output and error go nowhere: compiled code prints past Python."""
    _flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        _flush()
        for number, original in kept.items():
            os.dup2(original, number)
            os.close(original)
        os.close(nowhere)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
