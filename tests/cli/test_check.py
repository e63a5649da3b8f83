"""``onnxpack check``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_whole_pack_is_ok(onnxpack: Run, pack: Any) -> None:
    told = onnxpack("check", pack.path)
    assert told.code == 0
    assert told.out.endswith(f"{pack.path}: ok\n")
    assert "cpu: test_data_set_0" in told.out


def test_findings_as_json(onnxpack: Run, pack: Any) -> None:
    told = onnxpack("check", pack.path, "--json")
    assert told.json["ok"] is True
    assert {finding["level"] for finding in told.json["findings"]} == {"ok"}


def test_all_faults_are_shown(onnxpack: Run, pack: Any) -> None:
    (pack.path / "README.md").write_text("altered")
    (pack.path / "stray.txt").touch()
    told = onnxpack("check", pack.path)
    assert told.code == 1
    assert "README.md" in told.out
    assert "stray.txt" in told.out
    assert "not replayed" in told.out
    assert told.out.endswith("2 errors, 1 warning\n")


def test_a_wrong_answer_is_an_error(onnxpack: Run, pack: Any, tmp_path: Path) -> None:
    """A model-zoo folder whose graph does not give what its golden data says."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    pack.model_path.rename(folder / "model.onnx")
    (pack.path / "test_data_set_0").rename(folder / "test_data_set_0")
    golden = folder / "test_data_set_0"
    assert onnxpack("check", folder).code == 0
    content = bytearray((golden / "output_0.pb").read_bytes())
    content[-2] ^= 0x40
    (golden / "output_0.pb").write_bytes(content)
    told = onnxpack("check", folder, "--json")
    assert told.code == 1
    (fault,) = [f for f in told.json["findings"] if f["level"] == "error"]
    assert fault["subject"].startswith("cpu: test_data_set_0")


def test_a_bare_graph_is_not_called_proven(onnxpack: Run, graph: Path) -> None:
    told = onnxpack("check", graph)
    assert told.code == 0
    assert "no answers were compared" in told.out
    assert told.out.endswith(f"{graph}: 0 errors, 2 warnings\n")


def test_a_pack_that_cannot_be_opened_is_not_ok(onnxpack: Run, pack: Any) -> None:
    (pack.path / "pack.json").write_text("{}")
    told = onnxpack("check", pack.path, "--json")
    assert told.code == 1
    assert told.json["ok"] is False


def test_no_pack_is_a_usage_error(onnxpack: Run, tmp_path: Path) -> None:
    assert onnxpack("check", tmp_path / "nothing").code == 2


@pytest.mark.parametrize(("provider", "code"), [("cpu", 0), ("nonsense", 3)])
def test_one_provider(onnxpack: Run, pack: Any, provider: str, code: int) -> None:
    assert onnxpack("check", pack.path, "--provider", provider).code == code
