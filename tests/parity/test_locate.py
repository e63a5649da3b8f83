"""The first node that differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnxpack.comparison.tolerance import Tolerance
from onnxpack.parity.locate import locate, scope_of

X = np.ones((2, 3), np.float32)
FEEDS = {"x": X}


def save(path: Path, *steps: tuple[str, str, float]) -> Path:
    """A chain of nodes ``(name, op, constant)``."""
    nodes, weights, last = [], [], "x"
    for number, (name, op, constant) in enumerate(steps):
        weights.append(numpy_helper.from_array(np.float32(constant), f"c{number}"))
        output = "y" if number == len(steps) - 1 else f"v{number}"
        nodes.append(helper.make_node(op, [last, f"c{number}"], [output], name=name))
        last = output
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", onnx.TensorProto.FLOAT, ["batch", 3])],
        [value("y", onnx.TensorProto.FLOAT, ["batch", 3])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def find(path: Path, trace: dict[str, Any]) -> Any:
    arrays = {name: np.full((2, 3), value, np.float32) for name, value in trace.items()}
    return locate(path, FEEDS, arrays, Tolerance())


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """1 → 3 → 6 → 7 → 14."""
    return save(
        tmp_path / "g.onnx",
        ("a/Add", "Add", 2),
        ("b.first/Mul", "Mul", 2),
        ("b.second/Add", "Add", 1),
        ("c/Mul", "Mul", 2),
    )


def test_the_first_that_differs(chain: Path) -> None:
    found = find(chain, {"a": 3, "b.first": 7, "b.second": 8, "b": 8, "c": 16})
    assert (found.node, found.op_type, found.agreed) == ("b.first/Mul", "Mul", "a")
    assert str(found).startswith(
        "'b.first/Mul' is the first node that differs, after 'a', which agrees: 6 of 6 elements"
    )


def test_the_very_first(chain: Path) -> None:
    found = find(chain, {"a": 2, "c": 13})
    assert found.node == "a/Add"
    assert str(found).startswith("'a/Add' is the first node that differs: 6 of 6")


def test_a_module_is_held_against_its_last_node(chain: Path) -> None:
    assert find(chain, {"b": 7, "c": 15}).agreed == "b"


def test_a_fused_module_is_cleared_by_what_agrees_after_it(chain: Path) -> None:
    found = find(chain, {"a": 3, "b.first": 999, "b.second": 7, "c": 15})
    assert (found.node, found.agreed) == ("c/Mul", "b.second")


def test_nothing_to_be_told(chain: Path) -> None:
    assert find(chain, {}) is None
    assert find(chain, {"elsewhere": 1}) is None
    assert find(chain, {"a": 3, "c": 14}) is None


def test_a_graph_that_does_not_run(tmp_path: Path) -> None:
    path = save(tmp_path / "g.onnx", ("a/Odd", "NoSuchOp", 1), ("b/Add", "Add", 1))
    assert find(path, {"a": 3}) is None


def test_nodes_without_a_scope(tmp_path: Path) -> None:
    path = save(tmp_path / "g.onnx", ("Add", "Add", 1), ("", "Mul", 2))
    assert find(path, {"a": 3}) is None


@pytest.mark.parametrize(
    ("name", "scope"), [("a.b/Conv", "a.b"), ("Conv", ""), ("a/b/Conv", "a/b"), ("", "")]
)
def test_scopes(name: str, scope: str) -> None:
    assert scope_of(name) == scope
