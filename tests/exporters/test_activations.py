"""Activations where ONNX Runtime's own lose their digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

import onnxpack
from onnxpack.exporters.activations import write_exact_activations
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

FAR = np.array([-88, -40, -18.5, -9.1, -1, -0.69, -1e-4, -0.0, 0, 1e-4, 0.71, 9.1, 40], np.float32)


def graph_of(operator: str, to: Path, kind: int = TensorProto.FLOAT) -> Path:
    value = helper.make_tensor_value_info
    nodes = [helper.make_node(operator, ["x"], ["y"], name=operator)]
    graph = helper.make_graph(nodes, "g", [value("x", kind, ["n"])], [value("y", kind, ["n"])])
    to.write_bytes(
        helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8
        ).SerializeToString()
    )
    return to


def answered(graph: Path, x: Array) -> Array:
    return Model(graph).run({"x": x})["y"]


def exact(operator: str, x: Array) -> Array:
    wide = torch.from_numpy(x.astype(np.float64))
    function = getattr(torch.nn.functional, operator.lower())
    return np.asarray(function(wide))


@pytest.mark.parametrize("operator", ["Celu", "Elu", "Selu", "Sigmoid", "Tanh"])
def test_they_are_as_exact_as_float32_is(tmp_path: Path, operator: str) -> None:
    source = graph_of(operator, tmp_path / "source.onnx")
    assert write_exact_activations(source, tmp_path / "exact.onnx")
    found = answered(tmp_path / "exact.onnx", FAR)
    np.testing.assert_allclose(found, exact(operator, FAR), rtol=5e-7)


def test_onnx_runtime_clamps_a_sigmoid(tmp_path: Path) -> None:
    """If this fails, :mod:`onnxpack.exporters.activations` is no longer needed."""
    found = answered(graph_of("Sigmoid", tmp_path / "source.onnx"), FAR)
    assert found[1] == 0 < exact("Sigmoid", FAR)[1]


@pytest.mark.parametrize("operator", ["Celu", "Elu", "Selu", "Sigmoid", "Tanh"])
def test_what_is_not_finite_stays(tmp_path: Path, operator: str) -> None:
    write_exact_activations(graph_of(operator, tmp_path / "source.onnx"), tmp_path / "exact.onnx")
    far = np.array([-np.inf, np.inf, np.nan], np.float32)
    np.testing.assert_allclose(answered(tmp_path / "exact.onnx", far), exact(operator, far))


@pytest.mark.parametrize("alpha", [0.3, 1.7])
@pytest.mark.parametrize("kind", [nn.ELU, nn.CELU])
def test_a_small_number_keeps_its_digits(
    tmp_path: Path, kind: type[nn.Module], alpha: float
) -> None:
    pack = onnxpack.export(kind(alpha).eval(), torch.randn(3, 4), tmp_path / "pack")
    small = 1e-6 * torch.randn(5, 4)
    (found,) = onnxpack.Model(pack).run({"input": small.numpy()}).values()
    np.testing.assert_allclose(found, kind(alpha)(small).numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("operator", "kind"), [("Relu", TensorProto.FLOAT), ("Sigmoid", TensorProto.DOUBLE)]
)
def test_another_graph_is_left_alone(tmp_path: Path, operator: str, kind: int) -> None:
    source = graph_of(operator, tmp_path / "source.onnx", kind)
    assert not write_exact_activations(source, tmp_path / "exact.onnx")
    assert not (tmp_path / "exact.onnx").exists()


class LogProbability(nn.Module):
    """The logarithm of a probability, written as many write it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(torch.sigmoid(self.linear(x)))


def test_the_logarithm_of_a_sigmoid_is_exported_with_exact_tails(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LogProbability().eval()
    pack = onnxpack.export(model, torch.randn(2, 4), tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.source.strategy == "torchscript trace, exact activations"
    far = 30 * torch.randn(32, 4)
    found = onnxpack.Model(pack).run({"x": far.numpy()})["output"]
    with torch.no_grad():
        np.testing.assert_allclose(found, model(far).numpy(), rtol=1e-4, atol=1e-6)


def test_a_sigmoid_near_the_sample_stays_one_operator(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid(), nn.Linear(3, 2)).eval()
    pack = onnxpack.export(model, torch.randn(2, 4), tmp_path / "pack")
    operators = [node.op_type for node in ir.load(pack.model_path).graph]
    assert "Sigmoid" in operators
    assert "Exp" not in operators
