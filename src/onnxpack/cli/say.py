"""Print plain text: results on stdout, everything else on stderr.

Names and labels come from packs of any origin, so control characters are shown instead of sent.
"""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

import click

from onnxpack.notebook import in_json, indented, one_line, printable
from onnxpack.units import quantity, size

__all__ = [
    "complain", "emit", "is_coloured", "note", "one_line", "out", "printable", "quantity", "size",
    "write",
]  # fmt: skip


def out(text: str = "", *, flush: bool = False) -> None:
    """Print one line of the result on stdout."""
    print(one_line(text), flush=flush)


def write(text: str) -> None:
    """Print text of our own on stdout, which may have several lines."""
    print(printable(text))


def note(text: str) -> None:
    """Print on stderr what is not part of the result; lines after the first are indented."""
    print(indented(text), file=sys.stderr)


def complain(message: str, remedy: str = "") -> None:
    """Print an error and its remedy on stderr."""
    head, arrow = "error:", "→"
    if is_coloured(sys.stderr):
        head = click.style(head, fg="red", bold=True)
        arrow = click.style(arrow, fg="green", bold=True)
    print(f"{head} {indented(message)}", file=sys.stderr)
    if remedy:
        print(f"{arrow} {indented(remedy)}", file=sys.stderr)


def emit(value: Any) -> None:
    """Print a value as JSON; NaN and infinity, which JSON lacks, become null."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    print(in_json(text.decode()))


def is_coloured(stream: TextIO) -> bool:
    """Return whether to print colours to a stream."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
