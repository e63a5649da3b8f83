"""Print tables; those wider than the terminal are folded by rich, which is slow to import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from onnxpack.cli import grid, say
from onnxpack.cli.grid import Cell, Style

if TYPE_CHECKING:
    from onnxpack.report import Report

WIDEST = 10_000
"""Columns of rows that the terminal folds by itself: rich takes minutes for a million."""
_HEAD: Style = {"dim": True}
_GOOD: Style = {"fg": "green"}
_DOUBTFUL: Style = {"fg": "yellow"}
_BAD: Style = {"fg": "red", "bold": True}
_VERDICTS = {"ok": _GOOD, "PASS": _GOOD, "yes": _GOOD, "warning": _DOUBTFUL, "not run": _DOUBTFUL}
_VERDICTS |= {"error": _BAD, "FAIL": _BAD}


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """Print rows under their columns; verdicts are coloured.

    Args:
        columns: names of the columns.
        rows: cells of each row.
        right: names of the columns that are aligned to the right.
    """
    cells = [tuple(map(_cell, row)) for row in rows]
    if any(columns):
        cells.insert(0, tuple(Cell(name, _HEAD) for name in columns))
    _print(cells, {at for at, name in enumerate(columns) if name in right})


def report(found: Report, *, title: str, words: str = "") -> None:
    """Print every finding of a report, then its verdict, with words that add to it."""
    rows: list[Sequence[Cell]] = []
    for finding in found.findings:
        remedy = f"\n→ {say.one_line(finding.remedy)}" if finding.remedy else ""
        told = Cell(say.one_line(finding.message) + remedy, None)
        rows.append((_cell(finding.level.value), _cell(finding.subject), told))
    _print(rows)
    errors = len(found.errors)
    warnings = sum(finding.level.value == "warning" for finding in found.findings)
    counts = f"{_plural(errors, 'error')}, {_plural(warnings, 'warning')}"
    say.out()
    more = f": {words}" if words else ""
    say.out(f"{title}: {'ok' if not errors + warnings else counts}{more}")


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Print names and values, one line each; long values wrap under themselves."""
    _print([(Cell(say.one_line(name), _HEAD), _cell(value)) for name, value in pairs])


@contextmanager
def progress(*, verbose: bool) -> Iterator[Callable[[str], None] | None]:
    """Yield a function that shows progress: on a terminal in one line, if verbose as many lines."""
    if verbose:
        yield say.note
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        with Console(stderr=True, highlight=False).status("starting") as status:
            # Naming the spinner draws the line at once (rich 14): an exporter may begin before the
            # next tick, and nothing is drawn while its noise is hidden.
            yield lambda line: status.update(Text(say.printable(line)), spinner="dots")
    else:
        yield None


def _cell(text: str) -> Cell:
    return Cell(say.one_line(text), _VERDICTS.get(text))


def _print(rows: Sequence[Sequence[Cell]], right: Collection[int] = ()) -> None:
    """Print rows without folding, unless they are too wide for the terminal."""
    if not rows:
        return
    if sys.stdout.isatty() and get_terminal_size().columns < grid.width(rows) < WIDEST:
        _fold(rows, right)
        return
    for line in grid.lines(rows, right=right, paint=_paint):
        print(line)


def _paint(text: str, style: Style | None) -> str:
    return click.style(text, **style) if style and say.is_coloured(sys.stdout) else text


def _fold(rows: Sequence[Sequence[Cell]], right: Collection[int]) -> None:
    """Print rows within the width of the terminal, with long cells on several lines."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table.grid(padding=(0, 2, 0, 0))
    for column, _ in enumerate(rows[0]):
        drawn.add_column(justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text.from_ansi(_paint(cell.text, cell.style)) for cell in row))
    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(drawn)
    # Remove the trailing blanks with which rich fills its lines.
    for line in captured.get().splitlines():
        print(line.rstrip())


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
