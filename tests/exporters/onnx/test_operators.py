"""Operators that ONNX's evaluator answers wrongly, so that right graphs would be refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnxpack
from onnxpack.errors import PackError
from onnxpack.exporters.onnx.operators import corrected

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(4, 6)).astype("f4")
PICTURES = RANDOM.normal(size=(2, 5, 4, 3)).astype("f4")
PIXEL = PICTURES[..., :1, :1]
STATISTICS = {
    name: RANDOM.normal(size=6).astype("f4") ** (2 if name == "v" else 1) for name in "sbmv"
}
LINEAR = {"coefficients": [*RANDOM.normal(size=18)], "intercepts": [0.1, 0.2, 0.3]}
ML = "ai.onnx.ml"


def saved(path: Path, opset: int, sample: Any, nodes: Any, outputs: Any, weights: Any) -> Path:
    free = ["N", *sample.shape[1:2], *"HW"[: sample.ndim - 2]]
    kinds = {"s": TensorProto.STRING, "f": TensorProto.FLOAT}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info(name, kinds[kind], None) for name, kind in outputs],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(ML, 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def node(kind: str, *inputs: str, **attributes: Any) -> Any:
    return helper.make_node(kind, ["x", *inputs], ["y"], **attributes)


QUANTIZED = [
    helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
    helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
]
SCALE = {"scale": np.array(0.03, "f4"), "zero": np.array(3, "u1")}
CASES: dict[str, tuple[int, Any, Any, Any]] = {
    **{
        f"BatchNormalization {opset}": (
            opset, ROWS, [node("BatchNormalization", *"sbmv")], STATISTICS,
        )
        for opset in (7, 9, 13, 15)
    },
    **{
        f"{kind} {opset}, axis {axis}": (opset, sample, [node(kind, axis=axis)], {})
        for kind in ("Softmax", "LogSoftmax", "Hardmax")
        for opset, axis, sample in (
            (9, 1, PIXEL), (11, 2, PICTURES), (11, -1, PICTURES), (11, 0, ROWS), (13, 1, PICTURES)
        )
    },
    "LogSoftmax without an axis": (9, PIXEL, [node("LogSoftmax")], {}),
    "LRN": (17, PICTURES, [node("LRN", size=3)], {}),
    "LRN of five": (17, PICTURES, [node("LRN", size=5)], {}),
    "quantized 13": (13, ROWS, QUANTIZED, SCALE),
    "quantized 21": (21, ROWS, QUANTIZED, SCALE),
    "Conv": (
        17, PICTURES, [node("Conv", "w")], {"w": RANDOM.normal(size=(4, 5, 3, 3)).astype("f4")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_right_graphs_are_adopted(tmp_path: Path, name: str) -> None:
    opset, sample, nodes, weights = CASES[name]
    path = saved(tmp_path / "g.onnx", opset, sample, nodes, [("y", "f")], weights)
    pack = onnxpack.export(path, sample, tmp_path / "pack")
    assert len(pack.manifest.parity.cases) > 10


def test_batch_normalization_by_hand(tmp_path: Path) -> None:
    nodes = [node("BatchNormalization", *"sbmv")]
    path = saved(tmp_path / "g.onnx", 9, ROWS, nodes, [("y", "f")], STATISTICS)
    found = onnxpack.Model(onnxpack.export(path, ROWS, tmp_path / "pack"))(ROWS)
    scale, bias, mean, variance = STATISTICS.values()
    expected = scale * (ROWS - mean) / np.sqrt(variance + 1e-5) + bias
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_labels_that_are_texts(tmp_path: Path) -> None:
    made = helper.make_node(
        "LinearClassifier", ["x"], ["l", "p"], domain=ML, classlabels_strings=["u", "v", "w"],
        **LINEAR,
    )  # fmt: skip
    path = saved(tmp_path / "g.onnx", 17, ROWS, [made], [("l", "s"), ("p", "f")], {})
    pack = onnxpack.export(path, ROWS, tmp_path / "pack")
    assert set(onnxpack.Model(pack)(ROWS)["l"]) <= {"u", "v", "w"}


def test_maps_are_refused_with_a_cure(tmp_path: Path) -> None:
    nodes = [
        helper.make_node(
            "LinearClassifier", ["x"], ["l", "p"], domain=ML, classlabels_ints=[0, 1, 2], **LINEAR
        ),
        helper.make_node("ZipMap", ["p"], ["z"], domain=ML, classlabels_int64s=[0, 1, 2]),
    ]
    path = saved(tmp_path / "g.onnx", 17, ROWS, nodes, [], {})
    model = onnx.load(path)
    number = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.INT64, number))
    model.graph.output.append(helper.make_value_info("z", maps))
    onnx.save(model, path)
    with pytest.raises(PackError, match="'z', a sequence, expected tensors") as caught:
        onnxpack.export(path, ROWS, tmp_path / "pack")
    assert "options={'zipmap': False}" in caught.value.remedy


@pytest.mark.parametrize("outputs", ["y", "y first inverse counts"])
@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("is_sorted", [0, 1])
def test_unique_as_onnxruntime_answers(is_sorted: int, axis: int | None, outputs: str) -> None:
    along = {} if axis is None else {"axis": axis}
    names = outputs.split()
    graph = helper.make_graph(
        [helper.make_node("Unique", ["x"], names, sorted=is_sorted, **along)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [
            helper.make_tensor_value_info(
                name, TensorProto.FLOAT if name == "y" else TensorProto.INT64, None
            )
            for name in names
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.array([[3, 1, 3], [0, 2, 0], [3, 1, 3], [-1, 2, -1]], "f4")
    found = ReferenceEvaluator(model, new_ops=corrected(17)).run(None, {"x": x})
    for own, wanted in zip(found, session.run(None, {"x": x}), strict=True):
        np.testing.assert_array_equal(own, wanted, strict=True)
