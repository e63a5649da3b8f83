"""What is particular to files that are adopted: optional inputs, NaN, loops, old opsets."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx.version_converter
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnxpack
from onnxpack.errors import ExportError, PackError, SampleError
from onnxpack.pack.validate import validate

X = np.random.default_rng(0).normal(size=(2, 4)).astype("f4")
WEIGHT = np.arange(12, dtype="f4").reshape(4, 3)


def parsed(
    path: Path, body: str, made: str = "float[N,4] y", *, ir: int = 8, opset: int = 17
) -> Path:
    head = f'<ir_version: {ir}, opset_import: ["" : {opset}]>'
    onnx.save(onnx.parser.parse_model(f"{head} g (float[N,4] x) => ({made}) {{ {body} }}"), path)
    return path


def with_listed_weights(path: Path, version: int) -> Path:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, ["N", 4]), value("w", TensorProto.FLOAT, [4, 3])],
        [value("y", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    opsets = [helper.make_opsetid("", 9)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=version), path)
    return path


@pytest.mark.parametrize(("version", "noted"), [(3, False), (8, True)])
@pytest.mark.parametrize("sample", [X, None])
def test_weights_among_the_inputs(tmp_path: Path, version: int, noted: bool, sample: Any) -> None:
    path = with_listed_weights(tmp_path / "zoo.onnx", version)
    pack = onnxpack.export(path, sample, tmp_path / "pack")
    assert validate(pack).ok
    onnx.checker.check_model(pack.model_path)
    model = onnxpack.Model(pack)
    assert [spec.name for spec in model.signature.inputs] == ["x"]
    np.testing.assert_allclose(model(X), X @ WEIGHT, rtol=1e-5)
    words = "optional inputs of the file are constant in the pack, at their defaults: 'w'"
    assert (words in pack.manifest.notes) == noted


@pytest.mark.parametrize(
    ("body", "made", "operator", "case"),
    [
        ("y = Clip(x)", "float[N,4] y", "Clip", "infinities"),
        ("y = ArgMax<axis=1, keepdims=0>(x)", "int64[N] y", "ArgMax", "NaN"),
        ("a, b, c, y = Unique(x)", "int64[K] y", "Unique", "NaN"),
    ],
)
def test_a_note_where_the_reference_treats_nan_otherwise(
    tmp_path: Path, body: str, made: str, operator: str, case: str
) -> None:
    pack = onnxpack.export(parsed(tmp_path / "g.onnx", body, made), X, tmp_path / "pack")
    assert any(note.startswith(case) and operator in note for note in pack.manifest.notes)


@pytest.mark.parametrize(
    "body",
    ["y = Relu(x)", "y = Softmax(x)", "r = Relu(x) s = ReduceMean<keepdims=1>(r) y = Mul(x, s)"],
)
def test_no_note_where_both_agree(tmp_path: Path, body: str) -> None:
    assert not onnxpack.export(
        parsed(tmp_path / "g.onnx", body), X, tmp_path / "pack"
    ).manifest.notes


LOOP = (
    "n = Constant<value_int=3>() z, y = Loop(n, {condition}, x)"
    "<body = b (int64 i, bool d, float[N,4] z) => (bool e, float[N,4] w, float[N,4] v)"
    " {{ e = Identity(d) f = CastLike(i, z) w = Add(z, f) v = Mul(w, w) }}>"
)


@pytest.mark.parametrize("condition", ["", "on"])
def test_a_loop_as_its_specification_says(tmp_path: Path, condition: str) -> None:
    """ONNX's evaluator (1.23) never enters a Loop without a condition, and joins its turns."""
    body = "on = Constant<value = bool {1}>() " + LOOP.format(condition=condition)
    path = parsed(tmp_path / "g.onnx", body, "float[3,N,4] y")
    pack = onnxpack.export(path, X, tmp_path / "pack")
    assert onnxpack.Model(pack)(X).shape == (3, 2, 4)
    assert any("Loop might not end" in note for note in pack.manifest.notes)


def test_regions_are_asked_nothing_far_from_the_sample(tmp_path: Path) -> None:
    """At boxes of 1e4 pixels ONNX's evaluator looks at each of 1e8 points in Python."""
    body = (
        "r = Slice(x, zero, four, one) b = Abs(r) i = ConstantOfShape<value = int64[1] {0}>(n)"
        " y = RoiAlign<output_height=2, output_width=2>(p, b, i)"
    )
    constants = (
        "zero = Constant<value = int64[1] {0}>() four = Constant<value = int64[1] {4}>()"
        " one = Constant<value = int64[1] {1}>() s = Shape(x) n = Slice(s, zero, one)"
        " q = Constant<value = int64[4] {1, 1, 8, 8}>()"
        " p = ConstantOfShape<value = float[1] {0.5}>(q) "
    )
    path = parsed(tmp_path / "g.onnx", constants + body, "float[N,1,2,2] y")
    pack = onnxpack.export(path, X, tmp_path / "pack")
    assert any("takes too long for RoiAlign" in note for note in pack.manifest.notes)


def test_a_failure_of_the_evaluator_is_not_the_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("need at least one array")

    monkeypatch.setattr(ReferenceEvaluator, "run", fail)
    with pytest.raises(ExportError, match=r"ONNX's own evaluator.*need at least one") as caught:
        onnxpack.export(parsed(tmp_path / "g.onnx", "y = Relu(x)"), X, tmp_path / "pack")
    assert "sample" not in str(caught.value)


@pytest.mark.parametrize("opset", [1, 5])
def test_an_old_opset_is_refused_with_a_cure_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opset: int
) -> None:
    path = parsed(tmp_path / "old.onnx", "y = Relu(x)", ir=3, opset=opset)
    with pytest.raises(PackError, match=f"operators are those of opset {opset}") as caught:
        onnxpack.export(path, X, tmp_path / "pack")
    assert "float" not in str(caught.value)
    monkeypatch.chdir(tmp_path)
    exec(caught.value.remedy.partition(", and")[0], {"onnx": onnx})
    assert onnxpack.Model(onnxpack.export("newer.onnx", X, tmp_path / "pack")).prove().ok


def test_an_axis_that_the_file_declares_wrongly_is_fixed_by_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, ["batch", "in put"])],
        [value("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    monkeypatch.chdir(tmp_path)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), "g.onnx")
    with pytest.raises(SampleError, match="takes no other size than 4") as caught:
        onnxpack.export("g.onnx", X, "pack")
    python, *arguments = shlex.split(caught.value.remedy)
    assert python == "python"
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    pack = onnxpack.export("fixed.onnx", X, "pack")
    assert pack.manifest.signature.inputs[0].shape == ("batch", 4)
