"""``onnxpack`` alone suggests what to do with what lies in the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnxpack.cli.here import suggest


def test_packs_and_models(tmp_path: Path) -> None:
    for name in ("resnet18", "my pack"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pack.json").touch()
    for name in ("net.pt2", "forest.joblib", "notes.txt"):
        (tmp_path / name).touch()
    assert suggest(tmp_path) == [
        "onnxpack run 'my pack' --input random",
        "onnxpack serve 'my pack'",
        "onnxpack run resnet18 --input random",
        "onnxpack serve resnet18",
        "onnxpack export forest.joblib --sample SPEC -o forest --trust",
        "onnxpack export net.pt2 --sample SPEC -o net --trust",
    ]


def test_few_of_many(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.onnx").touch()
    assert len(suggest(tmp_path)) == 3


def test_the_command_alone(
    onnxpack: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "In this folder" not in onnxpack().out
    (tmp_path / "net.pt2").touch()
    told = onnxpack()
    assert told.code == 0
    assert told.out.endswith("  onnxpack export net.pt2 --sample SPEC -o net --trust\n")
