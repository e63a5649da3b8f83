"""Weights in 8 and 4 bits."""

from __future__ import annotations

import numpy as np
import pytest

from onnxpack.errors import UsageError
from onnxpack.graph.passes.weights import quantize_weights


def test_fewer_bits_lose_more(products, feeds, answers, tmp_path):
    feed = feeds(products, 1)[0]
    wanted = answers(products, feed)["y"]
    lost = {}
    for bits in (8, 4):
        to = tmp_path / str(bits) / "model.onnx"
        assert quantize_weights(products, to, bits=bits).options["bits"] == bits
        lost[bits] = np.linalg.norm(answers(to, feed)["y"] - wanted) / np.linalg.norm(wanted)
    assert lost[8] < 0.05 < lost[4] < 0.5


def test_bits_are_4_or_8(products, tmp_path):
    with pytest.raises(UsageError, match="bits is 2, expected 4 or 8"):
        quantize_weights(products, tmp_path / "model.onnx", bits=2)
