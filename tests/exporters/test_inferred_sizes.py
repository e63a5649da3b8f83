"""Sizes of outputs that ONNX Runtime infers, and the candidate states only by name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import onnxpack
from onnxpack.errors import ExportError
from onnxpack.exporters.inferred_sizes import open_with_inferred_sizes, refuse_unopenable
from onnxpack.pack.validate import validate
from onnxpack.signature import Signature, TensorSpec

X = np.random.default_rng(0).normal(size=(4, 6)).clip(0).astype("f4")


def parsed(path: Path, body: str, made: str) -> Path:
    head = '<ir_version: 8, opset_import: ["" : 17]>'
    onnx.save(onnx.parser.parse_model(f"{head} g (float[n,6] x) => ({made} y) {{ {body} }}"), path)
    return path


def answers(*shapes: tuple[int, ...]) -> Any:
    return [SimpleNamespace(expected={"y": np.zeros(shape)}) for shape in shapes]


def reshaped(path: Path) -> tuple[Path, Signature]:
    body = "s = Constant<value = int64[2] {2, 6}>() y = Reshape(x, s)"
    stated = Signature(
        (TensorSpec("x", "float32", ("n", 6)),), (TensorSpec("y", "float32", ("rows", 6)),)
    )
    return parsed(path / "g.onnx", body, "float[rows,6]"), stated


@pytest.mark.parametrize("sample", [X, np.ones_like(X)])
@pytest.mark.parametrize("made", ["int64[?,?]", "int64[a,b]", "int64[]", "int64[2,b]"])
def test_a_rank_that_the_file_does_not_state(tmp_path: Path, made: str, sample: Any) -> None:
    path = parsed(tmp_path / "g.onnx", "y = NonZero(x)", made.replace("[]", ""))
    pack = onnxpack.export(path, sample, tmp_path / "pack")
    assert validate(pack).ok
    model = onnxpack.Model(pack)
    assert model.signature.outputs[0].shape == (2, "y_1")
    np.testing.assert_array_equal(model(X), np.nonzero(X))


def test_a_selection_along_one_axis(tmp_path: Path) -> None:
    body = "c = Constant<value = bool[6] {1,0,1,0,1,0}>() y = Compress<axis = 1>(x, c)"
    pack = onnxpack.export(parsed(tmp_path / "g.onnx", body, "float[?,?]"), X, tmp_path / "pack")
    np.testing.assert_array_equal(onnxpack.Model(pack)(X), X[:, ::2])


def test_a_size_is_stated_in_the_graph_too(tmp_path: Path) -> None:
    path, stated = reshaped(tmp_path)
    opened, signature = open_with_inferred_sizes(path, stated, answers((2, 6), (2, 6)))
    assert signature.outputs[0].shape == (2, 6)
    refuse_unopenable(signature, opened.signature)
    assert onnx.load(path).graph.output[0].type.tensor_type.shape.dim[0].dim_value == 2


@pytest.mark.parametrize("shapes", [[(2, 6), (4, 6)], [(4, 6), (4, 6)]])
def test_a_size_that_the_model_does_not_give_is_refused(tmp_path: Path, shapes: Any) -> None:
    path, stated = reshaped(tmp_path)
    opened, signature = open_with_inferred_sizes(path, stated, answers(*shapes))
    assert signature == stated
    with pytest.raises(ExportError, match=r"'y' is float32\[2, 6\], expected float32\[rows, 6\]"):
        refuse_unopenable(signature, opened.signature)


def test_a_graph_that_states_all_is_not_written_again(tmp_path: Path) -> None:
    path = parsed(tmp_path / "g.onnx", "y = Relu(x)", "float[n,6]")
    before = path.stat().st_mtime_ns
    x = TensorSpec("x", "float32", ("n", 6))
    stated = Signature((x,), (TensorSpec("y", "float32", ("n", 6)),))
    _, signature = open_with_inferred_sizes(path, stated, answers((1, 6), (4, 6)))
    assert signature == stated
    assert path.stat().st_mtime_ns == before
