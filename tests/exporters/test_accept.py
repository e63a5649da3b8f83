"""A difference at an edge of a model is refused, unless the user names it; then it is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import onnxpack
from onnxpack.cli.main import main
from onnxpack.errors import ParityError, UsageError
from onnxpack.exporters import export as export_module
from onnxpack.pack.validate import validate
from onnxpack.parity.subject import Strategy, Subject
from onnxpack.signature import Array

X = np.array([[-1.0], [0.0], [0.4], [2.0]], np.float32)
FLIPPED = np.array([[0.0], [0.1]], np.float32)
"""0.1 in float32 is more than 0.1."""


class Step(Subject):
    """Says whether x > 0.1, in float64; its graph compares in float32."""

    framework, framework_version, model_class = "steps", "1", "steps.Step"
    sample = MappingProxyType({"X": X})

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        return {"above": feeds["X"].astype(np.float64) > 0.1}

    def edges(self) -> Iterator[tuple[str, Mapping[str, Array]]]:
        yield "thresholds", {"X": FLIPPED}

    def strategies(self, axes: Any, opset: int, outputs: Any) -> Iterator[Strategy]:
        yield Strategy("float32", self.make)

    def make(self, to: Path) -> tuple[()]:
        x = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["batch", 1])
        y = helper.make_tensor_value_info("above", TensorProto.BOOL, ["batch", 1])
        limit = helper.make_tensor("limit", TensorProto.FLOAT, [], [0.1])
        node = helper.make_node("Greater", ["X", "limit"], ["above"])
        graph = helper.make_graph([node], "step", [x], [y], [limit])
        opsets = [helper.make_opsetid("", 18)]
        onnx.save(helper.make_model(graph, ir_version=9, opset_imports=opsets), to)
        return ()


class StepExporter:
    refines = ""

    def accepts(self, model: object) -> bool:
        return model == "step"

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[Step]:
        yield Step()


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "exporter_for", lambda model, sample: StepExporter())


def test_it_is_refused_with_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(ParityError) as caught:
        onnxpack.export("step", to=tmp_path / "pack")
    said = str(caught.value)
    assert "answers differently in 1 of " in said
    assert "cases; thresholds: output 'above' 1 of 2 elements differ" in said
    assert "accept=['thresholds'] (--accept thresholds)" in caught.value.remedy
    assert not (tmp_path / "pack").exists()


def test_it_is_accepted_by_name_and_recorded(tmp_path: Path) -> None:
    pack = onnxpack.export("step", to=tmp_path / "pack", accept=["thresholds"])
    assert pack.manifest is not None
    cases = {case.name: case for case in pack.manifest.parity.cases}
    assert [name for name, case in cases.items() if case.accepted] == ["thresholds"]
    assert not cases["thresholds"].passed
    assert cases["thresholds"].golden is None
    assert pack.manifest.parity.passed
    assert onnxpack.Model(pack).prove().ok
    report = validate(pack)
    assert report.ok
    said = [each.message for each in report.findings if each.subject == "evidence"]
    assert said == ["case 'thresholds' differs, which was accepted: above 1 of 2 elements differ"]
    assert "accepted: 1 of 2 elements differ" in (pack.path / "README.md").read_text()


@pytest.mark.parametrize("name", ["sample", "batch=2", "nothing"])
def test_nothing_else_can_be_accepted(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"for this model those are: .*thresholds"):
        onnxpack.export("step", to=tmp_path / "pack", accept=[name])


def test_the_command_line_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = onnxpack.export("step", to=tmp_path / "pack", accept=["thresholds"])
    assert main(["inspect", str(pack.path)]) == 0
    assert "thresholds was accepted: above 1 of 2 elements differ" in capsys.readouterr().out
