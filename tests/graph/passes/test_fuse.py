"""Attention of a tiny BERT, fused: the answers stay, with holes in the mask or no key left."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from onnxpack.errors import OptimizeError
from onnxpack.graph.passes.attention import find_heads, has_attention, restate_masks
from onnxpack.graph.passes.fuse import fuse
from onnxpack.graph.passes.int8_dynamic import quantize_dynamic
from onnxpack.graph.passes.offline import save_optimized

LAYERS, HEADS, HIDDEN = 2, 4, 32


@pytest.fixture(scope="module")
def fused(encoder, tmp_path_factory):
    to = tmp_path_factory.mktemp("fused") / "model.onnx"
    return to, fuse(encoder.model_path, to)


def masks():
    holes = np.array([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 0, 0]])
    return {
        "all": np.ones((2, 6), np.int64),
        "holes": holes,
        "left": holes[:, ::-1].copy(),
        "none": np.zeros((2, 6), np.int64),
        "one row without": np.array([[1] * 6, [0] * 6]),
    }


@pytest.mark.parametrize("mask", masks())
def test_answers_stay(mask, encoder, fused, answers):
    ids = np.arange(12).reshape(2, 6) * 7
    feed = {"input_ids": ids, "attention_mask": masks()[mask], "token_type_ids": np.zeros_like(ids)}
    wanted = answers(encoder.model_path, feed)
    for name, found in answers(fused[0], feed).items():
        np.testing.assert_allclose(found, wanted[name], rtol=1e-4, atol=1e-5)


def test_the_step_says_how_many(fused, encoder, interface):
    to, step = fused
    assert step.options["attentions"] == LAYERS
    assert [node.op_type for node in onnx.load(to).graph.node].count("Attention") == LAYERS
    assert interface(to) == interface(encoder.model_path)


def test_a_graph_without_attention_has_nothing_to_fuse(convolutions, tmp_path):
    with pytest.raises(OptimizeError, match="nothing to fuse") as caught:
        fuse(convolutions, tmp_path / "made" / "model.onnx")
    assert "model.onnx" in caught.value.message
    assert list((tmp_path / "made").iterdir()) == []


def test_a_fused_graph_is_quantised(fused, encoder, tmp_path, answers):
    """Shape inference knows no Attention: without a default type the quantiser gives up."""
    to = tmp_path / "made" / "model.onnx"
    quantize_dynamic(fused[0], to)
    operators = {node.op_type for node in onnx.load(to).graph.node}
    assert {"QAttention", "MatMulInteger"} <= operators


def test_what_is_found_in_an_encoder(encoder, convolutions, tmp_path):
    to = tmp_path / "model.onnx"
    save_optimized(encoder.model_path, to)
    model = onnx.load(to)
    assert has_attention(model)
    assert not has_attention(onnx.load(convolutions))
    assert find_heads(model) == (HEADS, HIDDEN)
    assert find_heads(onnx.load(convolutions)) == (0, 0)
    assert restate_masks(onnx.load(convolutions)) == 0
