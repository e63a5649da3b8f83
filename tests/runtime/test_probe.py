from __future__ import annotations

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxpack.errors import PackError
from onnxpack.runtime import libraries, probe, session
from onnxpack.runtime.catalog import CPU


def test_the_graph_is_what_it_is_said_to_be():
    w = helper.make_tensor("w", TensorProto.FLOAT, [4, 3], [float(value) for value in range(12)])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "probe", [x], [y], [w]
    )
    opset = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=7, producer_name="onnxpack")
    assert probe.GRAPH.read_bytes() == model.SerializeToString(deterministic=True)


def test_the_cpu_works_here_and_apart():
    assert probe.probe(CPU) == ""
    assert probe.probe_apart(CPU) == ""


def test_a_provider_that_leaves_its_work_to_the_cpu():
    assert "gave its work to the CPU" in probe.probe("AzureExecutionProvider")


@pytest.fixture
def fake(monkeypatch):
    """A provider that claims all nodes and answers what it is told to."""

    def install(answer) -> None:
        monkeypatch.setattr(session, "open_session", lambda *args, **kwargs: None)
        monkeypatch.setattr(session, "placement", lambda opened: {"CUDAExecutionProvider": 1})
        monkeypatch.setattr(session, "run", lambda *args: [answer])

    return install


def test_right_numbers_from_the_provider_itself(fake):
    fake(np.array([[60, 70, 80]], np.float32))
    assert probe.probe("CUDAExecutionProvider") == ""


def test_wrong_numbers(fake):
    fake(np.array([[60, 70, 81]], np.float32))
    assert "computes [[60.0, 70.0, 81.0]], not [[60.0, 70.0, 80.0]]" in probe.probe(
        "CUDAExecutionProvider"
    )


def test_missing_libraries_are_the_reason(monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise PackError("no")

    monkeypatch.setattr(session, "open_session", fail)
    assert probe.probe("CUDAExecutionProvider") == "no"
    monkeypatch.setattr(libraries, "provider_library", lambda name: tmp_path)
    monkeypatch.setattr(libraries, "missing_libraries", lambda path: ("liba.so.1", "libb.so.2"))
    assert probe.probe("CUDAExecutionProvider") == "missing libraries: liba.so.1, libb.so.2"


@pytest.fixture
def interpreter(monkeypatch, tmp_path):
    """Puts a shell script in Python's place: a provider's library can do anything."""

    def install(script: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return install


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -SEGV $$", "its process ended (by signal 11)"),
        ("echo oh no >&2; exit 3", "its process ended (code 3): oh no"),
        ("true", "its process ended (code 0)"),
        ("echo noise; echo 'onnxpack-probe: \"\"'; kill -SEGV $$", ""),
        ("printf '\\377noise\\nonnxpack-probe: \"no device\"\\n'", "no device"),
    ],
)
def test_noise_and_death_of_a_provider(interpreter, script, reason):
    interpreter(script)
    assert probe.probe_apart("X") == reason


def test_a_provider_that_hangs(interpreter):
    interpreter("exec tail -f /dev/null")
    assert probe.probe_apart("X", timeout=0.05) == "it did not answer within 0.05 seconds"


def test_a_file_in_the_current_folder_does_not_stand_in(tmp_path, monkeypatch):
    (tmp_path / "msgspec.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert probe.probe_apart(CPU) == ""
