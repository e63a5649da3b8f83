"""``onnxpack inspect``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def facts(out: str) -> dict[str, str]:
    return dict(line.split("  ", 1) for line in out.splitlines() if "  " in line)


def test_a_pack(onnxpack: Run, pack: Any) -> None:
    told = onnxpack("inspect", pack.path)
    assert told.code == 0
    found = {key: value.strip() for key, value in facts(told.out).items()}
    assert found["digest"] == pack.digest
    assert found["input"] == "x: float32[batch, 2]"
    assert found["output"] == "scores: float32[batch, 3]"
    assert found["opset"] == "ai.onnx 18"
    assert found["MACs"] == "6 at batch=1"
    assert found["labels"] == "3: cat, dog, newt"
    assert found["source"] == "zoo.Net, torch 2.9, by dynamo"
    assert "1 of 1 cases passed" in told.out


def test_only_cases_that_were_run_pass(onnxpack: Run, pack: Any) -> None:
    lines = onnxpack("inspect", pack.path).out.splitlines()
    verdicts = {line.split()[0]: line.split()[-1] for line in lines if line[-4:] == "PASS"}
    assert verdicts == {"sample": "PASS"}
    (skipped,) = [line for line in lines if line.startswith("batch=3 ") and "run" in line[-8:]]
    assert skipped.endswith("not run")
    assert "batch=3 was not run: the model takes no third" in lines


def test_a_bare_graph_has_no_evidence(onnxpack: Run, graph: Path) -> None:
    told = onnxpack("inspect", graph)
    assert "PASS" not in told.out
    assert "No evidence" in told.out


def test_json(onnxpack: Run, pack: Any) -> None:
    document = onnxpack("inspect", pack.path, "--json", "--nodes").json
    assert list(document) == [
        "name",
        "path",
        "digest",
        "unchanged",
        "size",
        "signature",
        "graph",
        "golden",
        "variants",
        "manifest",
        "nodes",
    ]
    assert document["graph"]["operators"] == {"MatMul": 1}
    assert document["nodes"][0]["outputs"] == [{"name": "scores", "shape": [1, 3]}]


def test_nodes(onnxpack: Run, pack: Any) -> None:
    told = onnxpack("inspect", pack.path, "--nodes")
    (line,) = [line for line in told.out.splitlines() if line.startswith("dense")]
    assert line.split() == ["dense", "MatMul", "x,", "weight", "scores[1,", "3]", "6"]


def test_sizes_come_from_the_golden_data_or_the_user(onnxpack: Run, pack: Any, lookup: Any) -> None:
    dims = onnxpack("inspect", lookup.path, "--json").json["graph"]["dims"]
    assert dims == {"batch": 1, "tokens": 3}
    told = onnxpack("inspect", pack.path, "--dim", "batch=5", "--json")
    assert told.json["graph"]["macs"] == 30


@pytest.mark.parametrize("dim", ["batch", "batch=", "=3", "batch=0", "batch=-1", "batch=x"])
def test_sizes_that_are_none(onnxpack: Run, pack: Any, dim: str) -> None:
    told = onnxpack("inspect", pack.path, "--dim", dim)
    assert told.code == 2
    assert "is not NAME=N" in told.err


def test_a_name_cannot_steer_the_terminal(onnxpack: Run, graph: Path) -> None:
    content = graph.read_bytes().replace(b"dense", b"\x1b[2Jd")
    graph.write_bytes(content)
    told = onnxpack("inspect", graph, "--nodes")
    assert "\x1b" not in told.out
    assert "\\x1b[2Jd" in told.out


def test_what_is_no_graph(onnxpack: Run, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    assert onnxpack("inspect", tmp_path / "model.onnx").code == 2


def test_a_dim_that_is_not_there(onnxpack: Run, pack: Any) -> None:
    told = onnxpack("inspect", pack.path, "--dim", "nonsense=5")
    assert told.code == 2
    assert "'nonsense' is not a dynamic dim of the inputs; they are: batch." in told.err
