"""NNCF: its subset, transformers, and a telemetry that was there before."""

from __future__ import annotations

import sys

import numpy as np
import onnx

from onnxpack.graph.passes.nncf_int8 import quantize_nncf


def test_only_the_subset_is_read(products, feeds, tmp_path):
    given = iter(feeds(products, 8))
    step = quantize_nncf(products, tmp_path / "made" / "model.onnx", given, subset=3)
    assert (step.options["rows"], step.options["model_type"]) == (3, "none")
    assert len(list(given)) == 5


def test_attention_makes_it_a_transformer(encoder, tmp_path):
    ids = np.arange(12).reshape(1, 12)
    feed = {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}
    step = quantize_nncf(encoder.model_path, tmp_path / "made" / "model.onnx", [feed])
    assert step.options["model_type"] == "transformer"


def test_the_users_own_telemetry_is_put_back(products, feeds, tmp_path):
    from nncf.telemetry import decorator

    before = (decorator.telemetry, sys.modules.get("openvino_telemetry"))
    quantize_nncf(products, tmp_path / "made" / "model.onnx", feeds(products, 1))
    assert (decorator.telemetry, sys.modules.get("openvino_telemetry")) == before


def test_activations_are_unsigned(convolutions, feeds, tmp_path):
    to = tmp_path / "made" / "model.onnx"
    quantize_nncf(convolutions, to, feeds(convolutions, 4))
    graph = onnx.load(to).graph
    kinds = {weight.name: weight.data_type for weight in graph.initializer}
    zeros = [node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"]
    activations = [kinds[name] for name in zeros]
    assert len(activations) >= 2
    assert set(activations) == {onnx.TensorProto.UINT8}
