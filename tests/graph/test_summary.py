"""What a summary says of a graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from onnxpack.errors import PackError
from onnxpack.graph.summary import summarize
from onnxpack.signature import TensorSpec

Save = Callable[..., Path]
MATMUL = helper.make_node("MatMul", ["x", "w"], ["y"], name="m")


def test_head_signature_and_weights(save: Save) -> None:
    weights = {"w": np.zeros((8, 5), "float32"), "axes": np.zeros(3, "int64")}
    summary = summarize(save([MATMUL], {"x": ["batch", 8]}, weights=weights))
    assert summary.ir_version == 10
    assert summary.opsets == {"ai.onnx": 23}
    assert summary.producer == "pytest 1"
    assert summary.signature.inputs == (TensorSpec("x", "float32", ("batch", 8)),)
    assert summary.signature.outputs == (TensorSpec("y", "float32", None),)
    assert summary.parameters == 40
    assert summary.weights == {"float32": 160, "int64": 24}
    assert summary.dims == {"batch": 1}


def test_dims_set_the_cost(save: Save) -> None:
    path = save([MATMUL], {"x": ["batch", "tokens", 8]}, weights={"w": np.zeros((8, 5), "f4")})
    summary = summarize(path, dims={"batch": 2, "tokens": 7})
    assert summary.dims == {"batch": 2, "tokens": 7}
    assert summary.macs == 2 * 7 * 8 * 5


def test_packed_and_text_weights_have_their_true_size(save: Save) -> None:
    path = save([MATMUL], {"x": [1, 8]}, weights={"w": np.zeros((8, 5), "f4")})
    model = onnx.load(path)
    model.graph.initializer.append(
        helper.make_tensor("q", TensorProto.INT4, [5], np.zeros(5, "int8"))
    )
    model.graph.initializer.append(helper.make_tensor("s", TensorProto.STRING, [2], [b"ab", b"c"]))
    onnx.save(model, path)
    assert summarize(path).weights == {"float32": 160, "int4": 3, "str": 3}


def test_an_input_that_is_no_tensor_has_its_kind(save: Save) -> None:
    path = save([MATMUL], {"x": [1, 8]}, weights={"w": np.zeros((8, 5), "f4")})
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_sequence_value_info("s", 1, None))
    onnx.save(model, path)
    assert summarize(path).signature.inputs[1] == TensorSpec("s", "sequence", None)


def test_external_weights_are_not_opened(save: Save) -> None:
    path = save([MATMUL], {"x": ["batch", 5000]}, weights={"w": np.zeros((5000, 5), "f4")})
    onnx.save(
        onnx.load(path), path, save_as_external_data=True, location="w.data", size_threshold=0
    )
    (path.parent / "w.data").unlink()
    summary = summarize(path)
    assert (summary.parameters, summary.macs) == (25000, 25000)


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"not a model at all", b"\x08\x0a"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(PackError, match="not an ONNX model"):
        summarize(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="cannot be read: No such file"):
        summarize(tmp_path / "model.onnx")


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = helper.make_model(helper.make_graph([], "g", [], []))
    graph = b""
    for _ in range(200):  # graph → node → attribute → graph, by hand: onnx builds no such thing
        graph = _field(1, _field(5, _field(6, graph)))
    path.write_bytes(model.SerializeToString() + _field(7, graph))
    with pytest.raises(PackError, match="not an ONNX model"):
        summarize(path)


def _field(number: int, content: bytes) -> bytes:
    size, octets = len(content), bytearray([number << 3 | 2])
    while size > 0x7F:
        octets.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*octets, size]) + content


@pytest.mark.parametrize(
    ("dims", "data_type", "message"),
    [([-1, 5], 1, r"has dims \[-1, 5\]"), ([5], 999, "unknown data type 999")],
)
def test_impossible_weights_are_refused(
    save: Save, dims: list[int], data_type: int, message: str
) -> None:
    path = save([MATMUL], {"x": [1, 8]}, weights={"w": np.zeros((8, 5), "f4")})
    model = onnx.load(path)
    model.graph.initializer.append(TensorProto(name="evil", dims=dims, data_type=data_type))
    onnx.save(model, path)
    with pytest.raises(PackError, match=message):
        summarize(path)


def test_a_function_that_calls_itself_is_refused(save: Save) -> None:
    functions = [_function("f", ["g"]), _function("g", ["f"])]
    with pytest.raises(PackError, match="calls itself"):
        summarize(save([_call("f")], {"x": [1]}, functions=functions, domains=["d"]))


def test_functions_that_grow_without_end_are_refused(save: Save) -> None:
    functions = [_function("f0", [])]
    functions += [_function(f"f{n}", [f"f{n - 1}"] * 10) for n in range(1, 30)]
    path = save([_call("f29")], {"x": [1]}, functions=functions, domains=["d"])
    with pytest.raises(PackError, match="nodes with its functions inlined"):
        summarize(path)


def _call(name: str, given: str = "x", made: str = "y") -> onnx.NodeProto:
    return helper.make_node(name, [given], [made], domain="d")


def _function(name: str, calls: list[str]) -> onnx.FunctionProto:
    names = ["x", *(f"t{n + 1}" for n in range(len(calls)))]
    nodes = [_call(callee, names[n], names[n + 1]) for n, callee in enumerate(calls)]
    nodes.append(helper.make_node("Identity", [names[-1]], ["y"]))
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("d", 1)]
    return helper.make_function("d", name, ["x"], ["y"], nodes, opsets)


def test_a_classical_operator_behind_one_of_another_domain(save: Save) -> None:
    """onnx 1.23.2 infers the shapes of such a graph, that of a text model, by dying."""
    split = helper.make_node("Split", ["x"], ["words"], domain="other")
    known = {"keys_strings": ["a"], "values_int64s": [1], "default_int64": 0}
    encode = helper.make_node("LabelEncoder", ["words"], ["y"], domain="ai.onnx.ml", **known)
    dtypes = {"x": TensorProto.STRING, "y": TensorProto.INT64}
    path = save([split, encode], {"x": ["batch"]}, domains=("other", "ai.onnx.ml"), dtypes=dtypes)
    assert summarize(path).operators == {"other.Split": 1, "ai.onnx.ml.LabelEncoder": 1}
