"""The program as a user's shell runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

import onnxpack

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Told:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return msgspec.json.decode(self.out)


@pytest.fixture
def shell(tmp_path: Path) -> Callable[[str], Told]:
    """Run a line in bash, in the test's folder, with the tested ``onnxpack`` on the path."""

    def run(line: str) -> Told:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Told(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def scores_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of eight numbers in and three out; tests take copies."""
    made = onnxpack.export(
        torch.nn.Linear(8, 3), torch.ones(1, 8), tmp_path_factory.mktemp("made") / "scores"
    )
    return made.path
