"""Small graphs as files: a convolution net, matrix products, an encoder with masked attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

import onnxpack

WIDE, NARROW, CLASSES, CHANNELS = 64, 32, 5, 8


def _floats(*shape: int) -> np.ndarray:
    """The same each time: a test of quantisation must not depend on those that ran before it."""
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def _value(name: str, *shape: int | str, kind: int = onnx.TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, list(shape))


def _graph(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: Mapping[str, Any],
    opset: int = 18,
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(np.asarray(w), n) for n, w in weights.items()]
    made = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture
def products(tmp_path: Path) -> Path:
    """Two matrix products, the nodes without names, and an input that nothing reads."""
    (tmp_path / "base").mkdir()
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "w2"], ["y"]),
    ]
    weights = {"w1": _floats(WIDE, NARROW), "w2": _floats(NARROW, CLASSES)}
    inputs = [_value("x", "rows", WIDE), _value("unread", "rows", 3, kind=onnx.TensorProto.INT64)]
    model = _graph(nodes, inputs, [_value("y", "rows", CLASSES)], weights)
    return save(model, tmp_path / "base")


@pytest.fixture
def convolutions(tmp_path: Path) -> Path:
    (tmp_path / "base").mkdir()
    nodes = [
        helper.make_node("Conv", ["x", "k1"], ["c"], pads=[1, 1, 1, 1], name="first"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "k2"], ["d"], name="second"),
        helper.make_node("GlobalAveragePool", ["d"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["y"], name="flat"),
    ]
    weights = {"k1": _floats(CHANNELS, 3, 3, 3), "k2": _floats(CLASSES, CHANNELS, 1, 1)}
    inputs, outputs = [_value("x", "batch", 3, 16, 16)], [_value("y", "batch", CLASSES)]
    return save(_graph(nodes, inputs, outputs, weights), tmp_path / "base")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> onnxpack.Pack:
    """A tiny BERT with its golden sets: holes in the mask, and a mask of zeros."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    return onnxpack.export(
        BertModel(config).eval(), None, tmp_path_factory.mktemp("encoder") / "bert"
    )


@pytest.fixture
def feeds() -> Callable[[Path, int], list[dict[str, np.ndarray]]]:
    """Random feeds for a graph, of one row each; the first is always the same."""

    def made(path: Path, count: int = 8) -> list[dict[str, np.ndarray]]:
        inputs = onnx.load(path, load_external_data=False).graph.input
        return [{each.name: _random(each, row) for each in inputs} for row in range(count)]

    return made


def _random(info: onnx.ValueInfoProto, row: int) -> np.ndarray:
    shape = [dim.dim_value or 1 for dim in info.type.tensor_type.shape.dim]
    if info.type.tensor_type.elem_type == onnx.TensorProto.INT64:
        return np.ones(shape, np.int64)
    return np.random.default_rng(row).standard_normal(shape).astype(np.float32)


@pytest.fixture
def answers() -> Callable[..., dict[str, np.ndarray]]:
    return _answers


@pytest.fixture
def interface() -> Callable[[Path], list[str]]:
    return _interface


def _answers(path: Path, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options)
    known = {each.name for each in session.get_inputs()}
    names = [each.name for each in session.get_outputs()]
    found = session.run(names, {name: array for name, array in feed.items() if name in known})
    return dict(zip(names, found, strict=True))


def _interface(path: Path) -> list[str]:
    loaded = onnx.load(path, load_external_data=False)
    return [str(each) for each in (*loaded.graph.input, *loaded.graph.output)]


@pytest.fixture
def floats() -> Callable[..., np.ndarray]:
    return _floats


@pytest.fixture
def value() -> Callable[..., onnx.ValueInfoProto]:
    return _value


@pytest.fixture
def graph() -> Callable[..., onnx.ModelProto]:
    return _graph
