"""Graphs that exist are adopted, and held against onnx's reference evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onnxpack
from onnxpack.errors import (
    ExportError,
    FeedError,
    OnnxpackError,
    PackError,
    ParityError,
    SampleError,
)
from onnxpack.pack.tensor import encode_tensor
from onnxpack.pack.validate import validate

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
X = np.array([[1, 2], [3, -4], [0.5, 1]], np.float32)
FLOAT = onnx.TensorProto.FLOAT


def save(
    path: Path,
    *nodes: Any,
    given: Any = (FLOAT, ["batch", 2]),
    made: Any = (FLOAT, ["batch", 3]),
    external: str = "",
) -> Path:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes) or [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [value("x", *given)],
        [value("y", *made)],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(
        model,
        path,
        save_as_external_data=bool(external),
        location=external or None,
        size_threshold=0,
    )
    return path


def golden(folder: Path, y: Any, x: Any = X) -> None:
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    (data / "input_0.pb").write_bytes(encode_tensor("x", x))
    (data / "output_0.pb").write_bytes(encode_tensor("y", y))


def check(pack: Any) -> None:
    assert validate(pack).ok
    assert onnxpack.Model(pack).prove().ok
    feed = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    np.testing.assert_allclose(onnxpack.Model(pack)(feed), feed @ WEIGHT, rtol=1e-5)


@pytest.mark.parametrize("kind", [Path, str])
def test_a_bare_graph(tmp_path: Path, kind: Any) -> None:
    pack = onnxpack.export(kind(save(tmp_path / "tiny.onnx")), None, tmp_path / "pack")
    check(pack)
    source = pack.manifest.source
    assert (source.framework, source.strategy, source.model_class) == (
        "onnx",
        "adopted",
        "tiny.onnx",
    )
    assert source.framework_version == onnx.__version__
    assert [case.name for case in pack.manifest.parity.cases][:3] == [
        "sample",
        "batch=1",
        "batch=2",
    ]


@pytest.mark.parametrize("sample", [X, (X,), {"x": X}])
def test_with_a_sample(tmp_path: Path, sample: Any) -> None:
    pack = onnxpack.export(save(tmp_path / "tiny.onnx"), sample, tmp_path / "pack")
    check(pack)
    assert pack.manifest.parity.cases[0].dims == {"batch": 3}


@pytest.mark.parametrize(
    "sample", [X[:, :1], X.astype("f8"), (X, X), {"z": X}, {"x": X, "z": X}, "text"]
)
def test_a_sample_that_does_not_fit(tmp_path: Path, sample: Any) -> None:
    with pytest.raises((FeedError, SampleError)):
        onnxpack.export(save(tmp_path / "tiny.onnx"), sample, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def test_a_folder_of_the_model_zoo(tmp_path: Path) -> None:
    folder = tmp_path / "zoo"
    golden(folder, X @ WEIGHT)
    save(folder / "resnet.onnx")
    pack = onnxpack.export(folder, None, tmp_path / "pack")
    check(pack)
    assert pack.manifest.parity.cases[0].dims == {"batch": 3}


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (
            X @ WEIGHT + 0.1,
            "does not reproduce its own golden data test_data_set_0: output 'y' 9 of 9",
        ),
        ((X @ WEIGHT).astype("f8"), "is float32[3, 3], expected float64[3, 3]"),
    ],
)
def test_golden_data_that_is_wrong(tmp_path: Path, y: Any, words: str) -> None:
    folder = tmp_path / "zoo"
    golden(folder, y)
    save(folder / "model.onnx")
    with pytest.raises(ParityError) as caught:
        onnxpack.export(folder, None, tmp_path / "pack")
    assert words in caught.value.message
    assert not (tmp_path / "pack").exists()


def test_golden_data_of_another_count(tmp_path: Path) -> None:
    folder = tmp_path / "zoo"
    golden(folder, X @ WEIGHT)
    (folder / "test_data_set_0" / "output_1.pb").write_bytes(encode_tensor("z", X))
    save(folder / "model.onnx")
    with pytest.raises(PackError, match="test_data_set_0 has 2 outputs, but the graph gives 1"):
        onnxpack.export(folder, None, tmp_path / "pack")


@pytest.mark.parametrize("location", ["tiny.onnx.data", "weights", "model.onnx", "candidate.onnx"])
def test_external_weights_are_taken_along(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "from"
    folder.mkdir()
    path = save(folder / "tiny.onnx", external=location)
    assert (folder / location).exists()
    check(onnxpack.export(path, None, tmp_path / "pack"))


@pytest.mark.parametrize("location", ["../weights", "/etc/hostname", "absent"])
def test_external_weights_from_elsewhere_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "weights").write_bytes(bytes(24))
    folder = tmp_path / "from"
    folder.mkdir()
    path = save(folder / "tiny.onnx", external="weights")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(PackError):
        onnxpack.export(path, None, tmp_path / "pack")


def test_a_pack_is_adopted_again(tmp_path: Path) -> None:
    first = onnxpack.export(save(tmp_path / "tiny.onnx"), None, tmp_path / "first")
    check(onnxpack.export(first.path, None, tmp_path / "second"))


def test_the_reference_disagrees(tmp_path: Path) -> None:
    """A batch frozen inside: onnx refuses the other sizes as onnxruntime does."""
    path = save(
        tmp_path / "tiny.onnx",
        helper.make_node("Constant", [], ["shape"], value_ints=[2, 2]),
        helper.make_node("Reshape", ["x", "shape"], ["fixed"]),
        helper.make_node("MatMul", ["fixed", "w"], ["y"]),
    )
    with pytest.raises(SampleError, match="takes no other size than 2"):
        onnxpack.export(path, None, tmp_path / "pack")


def test_dropout_that_trains_is_refused(tmp_path: Path) -> None:
    path = save(
        tmp_path / "tiny.onnx",
        helper.make_node("Constant", [], ["ratio"], value_float=0.5),
        helper.make_node(
            "Constant", [], ["train"], value=numpy_helper.from_array(np.array(True), "t")
        ),
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Dropout", ["z", "ratio", "train"], ["y"]),
    )
    with pytest.raises(ExportError):
        onnxpack.export(path, X, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((FLOAT, None), "no input can be generated for 'x', float32[...]"),
        (
            (onnx.TensorProto.STRING, ["batch", 2]),
            "no input can be generated for 'x', str[batch, 2]",
        ),
    ],
)
def test_inputs_that_cannot_be_made_up(tmp_path: Path, given: Any, words: str) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    path = save(tmp_path / "tiny.onnx", node, given=given, made=given)
    with pytest.raises(SampleError) as caught:
        onnxpack.export(path, None, tmp_path / "pack")
    assert words in caught.value.message
    assert "--sample x=file.npy" in caught.value.remedy


@pytest.mark.parametrize("kind", [onnx.TensorProto.INT64, onnx.TensorProto.BOOL])
def test_integers_and_booleans_are_made_up(tmp_path: Path, kind: int) -> None:
    given = (kind, ["batch", 4])
    path = save(
        tmp_path / "t.onnx", helper.make_node("Identity", ["x"], ["y"]), given=given, made=given
    )
    assert onnxpack.Model(onnxpack.export(path, None, tmp_path / "pack")).prove().ok


def test_an_operator_that_onnx_does_not_evaluate(tmp_path: Path) -> None:
    path = save(
        tmp_path / "t.onnx",
        helper.make_node("CDist", ["x", "x"], ["y"], metric="euclidean", domain="com.microsoft"),
    )
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    with pytest.raises(OnnxpackError):
        onnxpack.export(path, X, tmp_path / "pack")


@pytest.mark.parametrize("name", ["nowhere.onnx", "nowhere", "notes.txt"])
def test_what_is_no_graph(tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(OnnxpackError):
        onnxpack.export(tmp_path / name, None, tmp_path / "pack")
