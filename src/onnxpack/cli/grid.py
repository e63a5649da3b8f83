"""Format rows under their columns as plain text, since rich takes long to import."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, TypeAlias

GAP = "  "
Style: TypeAlias = Mapping[str, Any]


class Cell(NamedTuple):
    """A cell of a table: one or more lines of text.

    Attributes:
        text: text of the cell.
        style: keyword arguments of ``click.style``; None for plain text.
    """

    text: str
    style: Style | None = None


def width(rows: Sequence[Sequence[Cell]]) -> int:
    """Return the width of the rows in terminal columns."""
    widths = _widths(rows)
    return sum(widths) + len(GAP) * (len(widths) - 1)


def lines(
    rows: Sequence[Sequence[Cell]],
    *,
    right: Collection[int],
    paint: Callable[[str, Style | None], str],
) -> Iterator[str]:
    """Yield the lines of the rows, without trailing blanks.

    Args:
        rows: cells of each row.
        right: numbers of the columns that are aligned to the right.
        paint: function that applies a style to a text.
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
    """Return a character's width in terminal columns: 2 if wide, 0 if combining, else 1."""
    import unicodedata

    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
