"""``make demo`` does what it tells, and may be run again."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"


def run(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, DEMO], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo(scores_pack: Path, shell: Callable[[str], Any], tmp_path: Path) -> None:
    for name in ("digits", "resnet18"):  # of the last time
        shutil.copytree(scores_pack, tmp_path / "demo" / name)
    told = run(tmp_path)
    accuracy = re.search(r"^accuracy +(\S+)% +(\S+)%$", told, re.MULTILINE)
    assert accuracy, told
    assert accuracy[1] == accuracy[2]
    assert float(accuracy[1]) > 95
    agree = re.search(r"the same digit for (\d+) of (\d+) pictures", told)
    assert agree, told
    assert agree[1] == agree[2] == "450"
    largest = re.search(r"the largest difference is (\S+)$", told, re.MULTILINE)
    assert largest, told
    assert 0 <= float(largest[1]) < 1e-3
    assert len(re.findall(r"\b(\d+) of \1 cases passed", told)) == 3
    assert "digits: ok" in told
    assert "resnet18: ok" in told
    assert "output: float32[1, 1000]" in told
    assert "What to type next" in told
    assert [path.name for path in tmp_path.iterdir()] == ["demo"], "it litters"
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["digits", "resnet18"]

    described = shell("onnxpack inspect demo/resnet18 --json").json
    assert described["signature"]["inputs"][0]["shape"] == ["batch", 3, 224, 224]
    assert described["graph"]["parameters"] == pytest.approx(11.7e6, rel=0.01)
    assert described["graph"]["macs"] == pytest.approx(1.81e9, rel=0.01)
