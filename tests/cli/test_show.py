"""Tables, in a pipe and on terminals wide and narrow."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.cli import grid, show
from onnxpack.cli.grid import Cell, Style
from onnxpack.report import error, report

ROWS = [("conv1", "118 M", "ok"), ("fully connected", "2", "error")]


def plain(text: str, style: Style | None) -> str:
    return text


def drawn(*rows: tuple[str, ...], right: tuple[int, ...] = ()) -> list[str]:
    return list(grid.lines([tuple(map(Cell, row)) for row in rows], right=right, paint=plain))


def test_columns_stand_under_each_other() -> None:
    assert drawn(("a", "1", "x"), ("bcd", "23", ""), right=(1,)) == ["a     1  x", "bcd  23"]


def test_cells_of_several_lines() -> None:
    assert drawn(("error", "cuda", "no\n→ cure"), ("ok", "cpu", "yes")) == [
        "error  cuda  no",
        "             → cure",
        "ok     cpu   yes",
    ]


def test_wide_characters_take_two_columns() -> None:
    assert drawn(("犬", "dog"), ("cat", "é")) == ["犬   dog", "cat  é"]
    assert grid.width([(Cell("犬"), Cell("e\u0301"))]) == 2 + len(grid.GAP) + 1


@given(st.lists(st.tuples(*[st.text("ab é犬", max_size=5)] * 3), min_size=1), st.sets(st.just(1)))
def test_no_line_is_wider_than_the_grid(rows: list[tuple[str, ...]], right: set[int]) -> None:
    cells = [tuple(map(Cell, row)) for row in rows]
    for line in grid.lines(cells, right=right, paint=plain):
        assert grid.width([(Cell(line),)]) <= grid.width(cells)


def table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> list[str]:
    """A table on a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show.table(("node", "MACs", "verdict"), ROWS, right=("MACs",))
    return capsys.readouterr().out.splitlines()


def without_colours(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()


def test_a_wide_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = table(monkeypatch, capsys, 80)
    assert list(map(without_colours, lines)) == [
        "node              MACs  verdict",
        "conv1            118 M  ok",
        "fully connected      2  error",
    ]
    assert "\x1b[32mok\x1b[0m" in lines[1]
    assert "\x1b[31m\x1b[1merror\x1b[0m" in lines[2]
    monkeypatch.setenv("NO_COLOR", "1")
    show.table(("",), [("ok",)])
    assert capsys.readouterr().out == "ok\n"


def test_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = list(map(without_colours, table(monkeypatch, capsys, 24)))
    assert max(map(len, lines)) <= 24
    assert len(lines) > 3
    assert "fully" in " ".join(lines)
    assert lines[1].endswith("118 M  ok")


def test_a_pipe_gets_each_row_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    show.facts([("labels", "x" * 300), ("name", "a")])
    assert capsys.readouterr().out.splitlines() == [f"labels  {'x' * 300}", "name    a"]


def test_a_report_without_findings_is_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    show.report(report([]), title="this machine")
    assert capsys.readouterr().out == "\nthis machine: ok\n"
    show.report(report([error("gpu", "none", "buy one")]), title="this machine")
    assert capsys.readouterr().out.splitlines() == [
        "error  gpu  none",
        "            → buy one",
        "",
        "this machine: 1 error, 0 warnings",
    ]
