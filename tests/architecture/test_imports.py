"""Which way imports point: DESIGN's arrows, held by import-linter."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")


def test_the_arrows_hold():
    done = subprocess.run([LINTER, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("source", sorted((ROOT / "src").rglob("*.py")), ids=lambda p: p.name)
def test_a_file_is_short(source):
    assert len(source.read_text().splitlines()) < 400
