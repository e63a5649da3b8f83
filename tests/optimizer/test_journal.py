"""A search that was killed finds what it had."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxpack.errors import PackError
from onnxpack.optimizer.journal import LINES, Journal
from onnxpack.optimizer.space import Plan
from onnxpack.optimizer.speed import Speed
from onnxpack.optimizer.trial import Trial, Verdict
from onnxpack.pack.manifest import Step, Timing

KEY = {"pack": "sha256:0", "options": [1, "a"]}
TIMING = Timing(name="base", seconds=1.0, quartiles=(1.0, 1.0))


def trial(name: str, verdict: Verdict = Verdict.OPEN) -> Trial:
    return Trial(
        plan=Plan((name,), "onnxruntime"),
        steps=(Step(name, {"version": 1}),),
        speed=Speed(TIMING, TIMING),
        verdict=verdict,
    )


def test_it_goes_on(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j", KEY)
    assert not first.resumed
    first.record(trial("fuse"))
    first.record(trial("fuse", Verdict.RIGHT))
    again = Journal(tmp_path / "j", KEY)
    assert again.resumed
    assert again.found == {"fuse": trial("fuse", Verdict.RIGHT)}


@pytest.mark.parametrize("key", [{**KEY, "pack": "sha256:1"}, {}])
def test_another_search_begins_anew(tmp_path: Path, key: dict[str, object]) -> None:
    first = Journal(tmp_path / "j", KEY)
    first.record(trial("fuse"))
    first.graph("fuse", lambda folder: (folder / "model.onnx").write_bytes(b"x") and None)
    again = Journal(tmp_path / "j", key)
    assert not again.resumed
    assert [each.name for each in (tmp_path / "j").iterdir()] == [LINES]


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_line_that_was_cut_off_is_left_out_and_the_next_is_whole(
    tmp_path: Path, cut: int
) -> None:
    first = Journal(tmp_path / "j", KEY)
    first.record(trial("fuse"))
    first.record(trial("slim"))
    lines = tmp_path / "j" / LINES
    lines.write_bytes(lines.read_bytes()[:-cut])
    again = Journal(tmp_path / "j", KEY)
    assert set(again.found) == {"fuse"}
    again.record(trial("rewrite"))
    assert set(Journal(tmp_path / "j", KEY).found) == {"fuse", "rewrite"}


def test_a_graph_is_made_once_and_never_half(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", KEY)

    def fail(folder: Path) -> None:
        (folder / "model.onnx").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        journal.graph("fuse", fail)
    made = []

    def make(folder: Path) -> None:
        assert list(folder.iterdir()) == []
        (folder / "model.onnx").write_bytes(b"whole")
        made.append(folder)

    assert journal.graph("fuse", make).read_bytes() == b"whole"
    assert journal.graph("fuse", make).read_bytes() == b"whole"
    assert len(made) == 1


def test_what_is_no_journal_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / LINES).write_bytes(b"\xff\xfe not json\n")
    assert Journal(tmp_path / "j", KEY).found == {}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PackError, match="cannot be written: Not a directory"):
        Journal(tmp_path / "file" / ".out.search", {})
