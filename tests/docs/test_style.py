"""The check of the language finds what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "check_style.py"


def check(folder: Path, source: str) -> tuple[int, list[str]]:
    (folder / "module.py").write_text(source)
    command = [sys.executable, str(SCRIPT), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.returncode, [line.partition("module.py:")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("source", "finding"),
    [
        ('"""Of two."""', "1: the docstring 'Of two.' is too short to say what it is about"),
        (
            '"""Of the model that is exported."""',
            "1: the docstring 'Of the model that is exported.' is a fragment: it has no verb",
        ),
        ('"""Write nothing and tells why it is so."""', "1: 'tells' in a docstring"),
        ("x = 1  # as it is", "1: 'as it is' in a comment"),
        (
            '"""Return the answers of a model.\n\nSizes that\nare no batch."""',
            "1: 'are no' in a docstring",
        ),
    ],
)
def test_what_is_found(tmp_path: Path, source: str, finding: str) -> None:
    assert check(tmp_path, source) == (1, [finding])


def test_plain_sentences_pass(tmp_path: Path) -> None:
    source = '"""Return the answers of a model."""\nx = "as it is"  # the user\'s own words\n'
    assert check(tmp_path, source) == (0, [])
