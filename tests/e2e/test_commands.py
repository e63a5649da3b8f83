"""The lines that users type, in a shell, in the order in which they type them."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import onnxpack

Shell = Callable[[str], Any]

MODELS = """
import torch
from torch import nn


class Scores(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(8, 3)

    def forward(self, x):
        return self.linear(x)


class Branch(Scores):
    def forward(self, x):
        if max(x.flatten().tolist()) > 100:
            return self.linear(x) + 1
        return self.linear(x)


class Dropout(Scores):
    def forward(self, x):
        return nn.functional.dropout(self.linear(x), 0.5)


def make_scores():
    return Scores()


ready = Scores()
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A file of the user's with models in it."""
    path = tmp_path / "models.py"
    path.write_text(MODELS)
    return path


def test_the_machine(shell: Shell) -> None:
    providers = shell("onnxpack providers --json")
    assert providers.code == 0
    working = [status["short"] for status in providers.json if status["works"]]
    assert "cpu" in working
    doctor = shell("onnxpack doctor --json")
    assert doctor.code == 0, doctor.out
    assert doctor.json["ok"]
    assert {"processors", "python", "onnxruntime"} <= {
        f["subject"] for f in doctor.json["findings"]
    }


def test_torchscript(shell: Shell, models: Path) -> None:
    save(shell, "torch.jit.trace(models.ready, torch.ones(2, 8)).save('m.pt')")
    told = shell("onnxpack export m.pt --trust --sample 2x8 -o scripted && onnxpack check scripted")
    assert told.code == 0, told.err


def test_an_exported_program_wants_trust(shell: Shell, models: Path) -> None:
    sizes = "({0: torch.export.Dim.DYNAMIC},)"
    program = f"torch.export.export(models.ready, (torch.ones(2, 8),), dynamic_shapes={sizes})"
    save(shell, f"torch.export.save({program}, 'm.pt2')")
    refused = shell("onnxpack export m.pt2 --sample 2x8 -o program")
    assert refused.code == 2
    assert "--trust" in refused.err
    told = shell("onnxpack export m.pt2 --trust --sample 2x8 -o program && onnxpack check program")
    assert told.code == 0, told.err


def save(shell: Shell, code: str) -> None:
    """Save a model from a Python of its own, as a user would have done long ago."""
    told = shell(f"python -W ignore -c {shlex.quote(f'import models, torch; {code}')}")
    assert told.code == 0, told.err


def test_a_model_in_a_file(shell: Shell, models: Path, tmp_path: Path) -> None:
    told = shell("onnxpack export models.py:make_scores --sample 1x8 -o scores --json")
    assert told.code == 0, told.err
    x = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    linear = torch.nn.Linear(8, 3)
    torch.manual_seed(0)
    linear.reset_parameters()
    with torch.no_grad():
        wanted = linear(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(onnxpack.Model(tmp_path / "scores")(x), wanted, rtol=1e-4, atol=1e-5)


def test_a_graph_is_adopted(shell: Shell, models: Path) -> None:
    told = shell(
        "onnxpack export models.py:ready --sample 1x8 -o scores "
        "&& cp scores/model.onnx bare.onnx && { onnxpack check bare.onnx; [ $? = 4 ]; } "
        "&& onnxpack export bare.onnx -o adopted && onnxpack check adopted"
    )
    assert told.code == 0, told.err
    assert "bare.onnx is not a pack: nothing proves" in told.out
    assert "adopted: ok: unchanged, proven" in told.out


@pytest.mark.parametrize(
    ("attribute", "reason"),
    [
        (
            "Branch",
            "depends on a tensor's values at models.py:18: if max(x.flatten().tolist()) > 100:",
        ),
        ("Dropout", "answers differently to the same input"),
    ],
)
def test_a_refused_model(
    attribute: str, reason: str, shell: Shell, models: Path, tmp_path: Path
) -> None:
    told = shell(f"onnxpack export models.py:{attribute} --sample 2x8 -o refused")
    assert told.code == 1
    assert reason in told.err
    assert "→ " in told.err
    assert told.out == ""
    assert {p.name for p in tmp_path.iterdir()} - {"__pycache__"} == {"models.py"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("onnxpack export", "Missing argument 'TARGET'"),
        ("onnxpack export nothing", "'nothing' does not name a model"),
        ("onnxpack export models.py:Absent --sample 1x8", "models.py has no 'Absent'"),
        ("onnxpack export models.py:ready -o scores", "needs a sample"),
        ("onnxpack export models.py:ready --sample 1x9 -o scores", "the model refuses the sample"),
        ("onnxpack run absent --input random", "absent does not exist"),
        ("onnxpack frobnicate", "No such command"),
    ],
)
def test_bad_usage(line: str, reason: str, shell: Shell, models: Path) -> None:
    told = shell(line)
    assert told.code == 2
    assert reason in told.err
    assert "Traceback" not in told.err


def test_a_pack_that_was_altered(shell: Shell, scores_pack: Path, tmp_path: Path) -> None:
    graph = shutil.copytree(scores_pack, tmp_path / "scores") / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[-40] ^= 1
    graph.write_bytes(content)
    told = shell("onnxpack check scores")
    assert told.code == 1
    assert "it was altered" in told.out


def test_a_provider_that_is_not_here(shell: Shell, scores_pack: Path) -> None:
    told = shell(f"onnxpack run {scores_pack} --input random --provider qnn")
    assert told.code == 3
    assert "provider 'qnn' is not in the installed onnxruntime" in told.err
