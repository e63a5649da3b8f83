"""Operators over sequences: our definitions beside ONNX Runtime's own answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnxpack
from onnxpack.exporters.onnx.operators import corrected

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
WIDTH, HIDDEN, STEPS = 3, 2, 5
VALUE = helper.make_tensor_value_info


def normal(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("f4")


def recurrent(kind: str, direction: str, *, states: bool, **attributes: Any) -> Any:
    ways, gates = 2 if direction == "bidirectional" else 1, GATES[kind]
    weights = {
        "w": normal(ways, gates * HIDDEN, WIDTH),
        "r": normal(ways, gates * HIDDEN, HIDDEN),
        "b": normal(ways, 2 * gates * HIDDEN),
    }
    names = ["x", "w", "r", "b", "lengths"]
    if states:
        weights["h"] = normal(ways, 3, HIDDEN)
        names.append("h")
    if states and kind == "LSTM":
        weights |= {"c": normal(ways, 3, HIDDEN) + 1, "p": normal(ways, 3 * HIDDEN)}
        names += ["c", "p"]
    outputs = ["y", "y_h", "y_c"][: 3 if kind == "LSTM" else 2]
    node = helper.make_node(
        kind, names, outputs, direction=direction, hidden_size=HIDDEN, **attributes
    )
    graph = helper.make_graph(
        [node],
        "g",
        [
            VALUE("x", TensorProto.FLOAT, [STEPS, "n", WIDTH]),
            VALUE("lengths", TensorProto.INT32, ["n"]),
        ],
        [VALUE(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def both(model: Any, feeds: dict[str, Any]) -> Any:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    own = ReferenceEvaluator(model, new_ops=corrected(17)).run(None, feeds)
    return zip(own, session.run(None, feeds), strict=True)


@pytest.mark.parametrize("lengths", [[5, 2, 1], [3, 3, 4], [0, 5, 2]])
@pytest.mark.parametrize("states", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", GATES)
def test_sequences_of_lengths(kind: str, direction: str, states: bool, lengths: Any) -> None:
    model = recurrent(kind, direction, states=states)
    feeds = {"x": normal(STEPS, 3, WIDTH), "lengths": np.array(lengths, np.int32)}
    for own, wanted in both(model, feeds):
        np.testing.assert_allclose(own, wanted, rtol=1e-5, atol=1e-6)


def scan(**attributes: Any) -> Any:
    body = onnx.parser.parse_graph(
        "b (float[3] s, float[3] u) => (float[3] t, float[3] o) { t = Add(s, u) o = Mul(t, scale) }"
    )
    node = helper.make_node(
        "Scan", ["s", "x"], ["t", "y"], num_scan_inputs=1, body=body, **attributes
    )
    shape = [3, "n"] if attributes.get("scan_input_axes") else ["n", 3]
    graph = helper.make_graph(
        [node],
        "g",
        [VALUE("x", TensorProto.FLOAT, shape)],
        [VALUE("t", TensorProto.FLOAT, [3]), VALUE("y", TensorProto.FLOAT, [None, None])],
        [
            numpy_helper.from_array(normal(3), "s"),
            numpy_helper.from_array(np.array(2, "f4"), "scale"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("attribute", ["", "input_directions", "output_directions", "output_axes"])
@pytest.mark.parametrize("axis", [0, 1])
def test_scans(attribute: str, axis: int) -> None:
    model = scan(scan_input_axes=[axis], **({f"scan_{attribute}": [1]} if attribute else {}))
    if not axis:
        model = scan(**({f"scan_{attribute}": [1]} if attribute else {}))
    x = normal(4, 3)
    for own, wanted in both(model, {"x": x.T.copy() if axis else x}):
        np.testing.assert_allclose(own, wanted, rtol=1e-6)


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_lengths_are_adopted(tmp_path: Path, kind: str) -> None:
    onnx.save(recurrent(kind, "bidirectional", states=False), tmp_path / "g.onnx")
    feeds = {"x": normal(STEPS, 3, WIDTH), "lengths": np.array([5, 2, 1], np.int32)}
    pack = onnxpack.export(tmp_path / "g.onnx", feeds, tmp_path / "pack")
    assert onnxpack.Model(pack).prove().ok


def test_a_scan_backwards_is_adopted(tmp_path: Path) -> None:
    onnx.save(scan(scan_input_directions=[1]), tmp_path / "g.onnx")
    pack = onnxpack.export(tmp_path / "g.onnx", normal(4, 3), tmp_path / "pack")
    assert onnxpack.Model(pack).prove().ok
