"""What a shell is offered for targets, packs, providers and variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete

from onnxpack.cli.commands import COMPLETE, PROGRAM
from onnxpack.cli.main import app


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def complete(*words: str) -> list[tuple[str, Any]]:
    *before, incomplete = words
    shell = ShellComplete(app, {}, PROGRAM, COMPLETE)
    return [(item.type, item.value) for item in shell.get_completions(before, incomplete)]


@pytest.mark.parametrize(
    "words",
    [
        ("export", "tra"),
        ("export", "net.py", "--sample", "pict"),
        ("bench", "pack", "--against", "tra"),
        ("check", "mod"),
    ],
)
def test_paths_are_left_to_the_shell(here: Path, words: tuple[str, ...]) -> None:
    assert complete(*words) == [("file", words[-1])]


def test_names_of_a_python_file_are_read_without_running_it(here: Path) -> None:
    (here / "net.py").write_text(
        "import os\nraise SystemExit\ndef make(): ...\nclass Net: ...\nmodel = Net()\n_no = 1\n"
    )
    assert complete("export", "net.py:") == [
        ("plain", f"net.py:{name}") for name in ("make", "Net", "model")
    ]
    assert complete("export", "net.py:m") == [("plain", "net.py:make"), ("plain", "net.py:model")]


@pytest.mark.parametrize("content", [b"def (", b"\x00"])
def test_a_file_that_is_not_python_has_no_names(here: Path, content: bytes) -> None:
    (here / "net.py").write_bytes(content)
    assert complete("export", "net.py:") == []
    assert complete("export", "none.py:") == []


def test_packs_of_the_folder(here: Path) -> None:
    for name in ("cat", "dog"):
        (here / name).mkdir()
        (here / name / "pack.json").touch()
    assert complete("run", "") == [("plain", "cat/"), ("plain", "dog/")]
    assert complete("serve", "cat", "d") == [("plain", "dog/")]
    assert complete("image", "") == [("plain", "compare"), ("plain", "cat/"), ("plain", "dog/")]
    assert complete("image", "compare", "c") == [("plain", "cat/")]


def test_providers(here: Path) -> None:
    names = [value for _, value in complete("run", "pack", "--provider", "")]
    assert names[0] == "auto"
    assert "cpu" in names


def test_variants_of_the_pack_that_was_typed(here: Path) -> None:
    (here / "pack" / "variants" / "int8").mkdir(parents=True)
    assert complete("run", "pack", "--variant", "") == [
        ("plain", name) for name in ("auto", "base", "int8")
    ]
    assert complete("run", "none", "--variant", "b") == [("plain", "base")]
