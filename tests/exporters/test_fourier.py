"""Fourier transforms are as exact as the framework's, at lengths that are no power of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

import onnxpack
from onnxpack.exporters.fourier import transform_in_float64

LENGTH = 400
X = np.random.default_rng(0).normal(size=(3, LENGTH)).astype(np.float32)
WINDOW = np.hanning(LENGTH).astype(np.float32)


def spectrum(node: Any, opset: int, **constants: Any) -> Any:
    """What a graph of one transform answers after it was rewritten, complex64 [3, ...]."""
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, LENGTH, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor(n, *each) for n, each in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    transform_in_float64(model)
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    (found,) = session.run(None, {"x": X[..., None]})
    assert found.dtype == np.float32
    return found[..., 0] + 1j * found[..., 1]


def off(found: Any, wanted: Any) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).std())


@pytest.mark.parametrize("opset", [17, 20])
def test_dft(opset: int) -> None:
    if opset == 17:
        found = spectrum(helper.make_node("DFT", ["x"], ["y"], axis=1), opset)
    else:
        node = helper.make_node("DFT", ["x", "", "axis"], ["y"])
        found = spectrum(node, opset, axis=(TensorProto.INT64, [], [1]))
    assert off(found, np.fft.fft(X.astype(np.float64))) < 1e-6


def test_stft_with_a_window() -> None:
    node = helper.make_node("STFT", ["x", "step", "window"], ["y"], onesided=1)
    window = (TensorProto.FLOAT, [LENGTH], WINDOW)
    found = spectrum(node, 17, step=(TensorProto.INT64, [], [LENGTH]), window=window)
    wanted = np.fft.rfft(X.astype(np.float64) * WINDOW)
    assert off(found[:, 0], wanted) < 1e-6


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x, dim=1).abs()


def test_a_spectrum_of_any_length_is_proven(tmp_path: Path) -> None:
    """In float32 it was refused: ONNX Runtime is further off than PyTorch at 400 numbers."""
    dynamic = {"x": {0: "batch", 1: "time"}}
    pack = onnxpack.export(Spectrum(), torch.from_numpy(X), tmp_path / "pack", dynamic=dynamic)
    x = np.random.default_rng(1).normal(size=(2, 331)).astype(np.float32)
    (found,) = onnxpack.Model(pack).run({"x": x}).values()
    np.testing.assert_allclose(found, Spectrum()(torch.from_numpy(x)).numpy(), rtol=1e-4, atol=1e-4)
