"""Tables for a person, drawn with rich, which is loaded when one is drawn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from onnxpack.cli import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from onnxpack.report import Report

PIPE_WIDTH = 160
"""Of output that no terminal shows: wide enough to keep a row on its line."""

_STYLES = {"ok": "green", "PASS": "green", "warning": "yellow", "error": "bold red", "yes": "green"}
_STYLES |= {"FAIL": "bold red", "not run": "yellow"}


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()
) -> None:
    """Print rows under their columns; cells that are verdicts have a colour.

    Args:
        right: the columns that are aligned to the right.
    """
    from rich.table import Table

    drawn = Table(
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="dim",
        show_header=any(columns),
    )
    for column in columns:
        drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*map(_cell, row))
    _print(drawn)


def report(found: Report, *, title: str) -> None:
    """Print every finding of a report, then its verdict."""
    rows: list[Sequence[str]] = []
    for finding in found.findings:
        remedy = f"\n→ {finding.remedy}" if finding.remedy else ""
        rows.append((finding.level.value, finding.subject, finding.message + remedy))
    table(("", "", ""), rows)
    errors = len(found.errors)
    warnings = sum(finding.level.value == "warning" for finding in found.findings)
    counts = f"{_plural(errors, 'error')}, {_plural(warnings, 'warning')}"
    say.out()
    say.out(f"{title}: {'ok' if not errors + warnings else counts}")


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Print a name and what it is, a line each; long ones wrap under themselves."""
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in pairs:
        drawn.add_row(_cell(name), _cell(value))
    _print(drawn)


@contextmanager
def progress(*, verbose: bool) -> Iterator[Callable[[str], None] | None]:
    """What long work is told to tell: a moving line on a terminal, lines when verbose."""
    if verbose:
        yield say.note
    elif sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True, highlight=False).status("starting") as status:
            yield lambda line: status.update(_cell(line))
    else:
        yield None


def _cell(text: str) -> Text:
    from rich.text import Text

    return Text(say.printable(text), style=_STYLES.get(text, ""))


def _print(drawn: Table) -> None:
    """Print a table without the blanks that rich fills its lines up with."""
    console = _console()
    with console.capture() as captured:
        console.print(drawn)
    for line in captured.get().splitlines():
        print(line.rstrip())


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    return console if console.is_terminal else Console(width=PIPE_WIDTH, color_system=None)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
