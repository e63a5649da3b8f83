"""Rows under their columns as plain lines: most tables are no more, and rich takes time to load."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, TypeAlias

GAP = "  "
Style: TypeAlias = Mapping[str, Any]


class Cell(NamedTuple):
    """What stands in a row: one line of text, or several.

    Attributes:
        style: how it is painted, in the words of ``click.style``.
    """

    text: str
    style: Style | None = None


def width(rows: Sequence[Sequence[Cell]]) -> int:
    """Return the columns of a terminal that the rows take."""
    widths = _widths(rows)
    return sum(widths) + len(GAP) * (len(widths) - 1)


def lines(
    rows: Sequence[Sequence[Cell]],
    *,
    right: Collection[int],
    paint: Callable[[str, Style | None], str],
) -> Iterator[str]:
    """Yield the rows, each as long as it is.

    Args:
        right: the columns that are aligned to the right.
        paint: makes of a text and its style what is printed.
    """
    widths = _widths(rows)
    for row in rows:
        for texts in zip_longest(*(cell.text.split("\n") for cell in row), fillvalue=""):
            line, blanks = "", ""
            for column, (text, cell) in enumerate(zip(texts, row, strict=True)):
                missing = " " * (widths[column] - _width(text))
                before, after = (missing, "") if column in right else ("", missing)
                if text:
                    line += blanks + before + paint(text, cell.style)
                    blanks = after + GAP
                else:
                    blanks += missing + GAP
            yield line


def _widths(rows: Sequence[Sequence[Cell]]) -> list[int]:
    return [
        max(_width(line) for cell in column for line in cell.text.split("\n"))
        for column in zip(*rows, strict=True)
    ]


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    """How many columns a terminal gives a character: two where it is as wide as it is high."""
    import unicodedata

    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
