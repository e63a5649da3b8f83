"""``onnxpack check``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnxpack.pack.tensor import encode_tensor

Run = Callable[..., Any]


def test_a_whole_pack_is_ok(onnxpack: Run, pack: Any) -> None:
    told = onnxpack("check", pack.path)
    assert told.code == 0
    assert told.out.endswith(f"{pack.path}: ok: unchanged, proven\n")
    assert "cpu: test_data_set_0" in told.out


def test_findings_as_json(onnxpack: Run, pack: Any) -> None:
    told = onnxpack("check", pack.path, "--json")
    assert told.json["ok"] is True
    assert {finding["level"] for finding in told.json["findings"]} == {"ok"}
    words = [told.json[word] for word in ("unchanged", "proven", "trusted")]
    assert words == [True, True, False]
    assert told.json["digest"] == pack.digest


def test_the_expected_digest_makes_it_trusted(onnxpack: Run, pack: Any) -> None:
    told = onnxpack("check", pack.path, "--digest", pack.digest)
    assert told.code == 0
    assert told.out.endswith(f"{pack.path}: ok: unchanged, proven, trusted\n")


@pytest.mark.parametrize("command", [["check"], ["run", "-i", "random"], ["serve"], ["image"]])
def test_another_pack_than_expected_is_refused(
    onnxpack: Run, pack: Any, command: list[str]
) -> None:
    other = f"sha256:{'0' * 64}"
    told = onnxpack(*command, pack.path, "--digest", other)
    assert told.code == (1 if command == ["check"] else 2)
    assert f"{pack.digest}, expected {other}" in (told.out + told.err).replace("\n", " ")


def test_a_digest_must_be_one(onnxpack: Run, pack: Any) -> None:
    told = onnxpack("check", pack.path, "--digest", "latest")
    assert told.code == 2
    assert "'latest' is not a digest, expected sha256: and 64 hexadecimal digits" in told.err


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "there is no golden data"),
        (np.full((2, 3), np.nan, np.float32), "its golden data holds no finite number"),
        (np.ones((2, 3), np.float32), "its golden data holds one and the same answer everywhere"),
        (np.ones((0, 3), np.float32), "its golden data has no rows"),
    ],
)
def test_golden_data_that_any_graph_reproduces_proves_nothing(
    tmp_path: Path, onnxpack: Run, answer: Any, reason: str
) -> None:
    """A model-zoo folder, whose graph answers just so."""
    value = np.float32(1) if answer is None or not answer.size else answer.flat[0]
    nodes = [
        helper.make_node("Sub", ["x", "x"], ["zero"]),
        helper.make_node("Add", ["zero", "value"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(name, 1, ["n", 3]) for name in ("x", "y")]
    constant = numpy_helper.from_array(np.array(value), "value")
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "model.onnx")
    if answer is not None:
        golden = tmp_path / "test_data_set_0"
        golden.mkdir()
        (golden / "input_0.pb").write_bytes(encode_tensor("x", np.zeros_like(answer)))
        (golden / "output_0.pb").write_bytes(encode_tensor("y", answer))
    told = onnxpack("check", tmp_path, "--json")
    assert told.code == 4
    assert (told.json["ok"], told.json["proven"]) == (True, False)
    assert f"{reason}: nothing was proven" in [each["message"] for each in told.json["findings"]]


def test_all_faults_are_shown(onnxpack: Run, pack: Any) -> None:
    (pack.path / "README.md").write_text("altered")
    (pack.path / "stray.txt").touch()
    told = onnxpack("check", pack.path)
    assert told.code == 1
    assert "README.md" in told.out
    assert "stray.txt" in told.out
    assert "not replayed" in told.out
    assert told.out.endswith("3 errors, 1 warning: not proven\n")


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
    assert told.code == 4
    assert "there is no golden data: nothing was proven" in told.out
    assert told.out.endswith(f"{graph}: 0 errors, 2 warnings: not proven\n")


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
