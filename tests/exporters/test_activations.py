"""Activations where ONNX Runtime's own lose their digits."""

from __future__ import annotations

from collections.abc import Callable
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


class Squashed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log1p(-(x.tanh() ** 2))


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


@pytest.mark.parametrize("model", [nn.ELU(), nn.CELU(0.7), nn.SELU()], ids=str)
def test_a_sample_of_positive_numbers_says_nothing_of_small_negative_ones(
    tmp_path: Path, model: nn.Module
) -> None:
    pack = onnxpack.export(model.eval(), torch.rand(3, 4) / 5, tmp_path / "pack")
    small = -torch.tensor([[1.22e-6, 3e-8, 1e-3, 1e-4]])
    (found,) = onnxpack.Model(pack).run({"input": small.numpy()}).values()
    np.testing.assert_allclose(found, model(small).numpy(), rtol=1e-5)


def test_how_far_a_tanh_is_from_one(tmp_path: Path) -> None:
    """The sample's cases are all nearer to 0, or so far away that both are infinite."""
    pack = onnxpack.export(Squashed(), torch.rand(4, 8), tmp_path / "pack")
    x = torch.tensor([[5.0, 7, 7.5, 7.9, 8.3, 8.5, 8.65, 8.7]])
    (found,) = onnxpack.Model(pack).run({"x": x.numpy()}).values()
    np.testing.assert_allclose(found, Squashed()(x).numpy(), rtol=1e-3)


@pytest.mark.parametrize(
    ("operator", "kind"), [("Relu", TensorProto.FLOAT), ("Sigmoid", TensorProto.DOUBLE)]
)
def test_another_graph_is_left_alone(tmp_path: Path, operator: str, kind: int) -> None:
    source = graph_of(operator, tmp_path / "source.onnx", kind)
    assert not write_exact_activations(source, tmp_path / "exact.onnx")
    assert not (tmp_path / "exact.onnx").exists()


class Applies(nn.Module):
    """A function of three logits."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.linear(x))


@pytest.mark.parametrize(
    "function",
    [
        lambda z: torch.log(z.sigmoid() + 1e-12),
        lambda z: z.sigmoid().clamp_min(1e-15).log().mean(-1),
        lambda z: z.sigmoid() ** 0.1,
        lambda z: z.sigmoid().prod(-1, keepdim=True).sqrt(),
        lambda z: z.sigmoid() / z.sigmoid().sum(-1, keepdim=True),
        lambda z: 1 / (1e-9 + z.sigmoid()),
        lambda z: z.sigmoid() > 1e-9,
        lambda z: (z.sigmoid() != 0).sum(-1),
        lambda z: z.sigmoid().argmax(-1),
        lambda z: z.sigmoid().argsort(-1),
        lambda z: nn.functional.normalize(z.sigmoid(), dim=-1, p=1),
        lambda z: nn.functional.layer_norm(z.sigmoid(), (3,), eps=1e-20),
    ],
    ids=[
        "log of a sum", "clamped", "power", "root of a product", "ratio", "inverse", "above",
        "not zero", "largest", "order", "normalised", "layer norm",
    ],
)  # fmt: skip
def test_what_reads_the_tails_of_a_sigmoid(
    tmp_path: Path, function: Callable[[Tensor], Tensor]
) -> None:
    torch.manual_seed(0)
    model = Applies(function).eval()
    pack = onnxpack.export(model, torch.randn(2, 4), tmp_path / "pack")
    for scale in (10, 20, 40):
        x = scale * torch.randn(64, 4)
        (found,) = onnxpack.Model(pack).run({"x": x.numpy()}).values()
        with torch.no_grad():
            np.testing.assert_allclose(found, model(x).numpy(), rtol=1e-3, atol=1e-30)


@pytest.mark.parametrize(
    "function",
    [
        lambda z: z.softmax(-1).log(),
        lambda z: z.softmax(-1)[:, 1:].argmin(-1),
        lambda z: (z.softmax(-1) > 0).sum(-1),
        lambda z: -(z.softmax(-1) * z.softmax(-1).log()).nansum(-1),
    ],
    ids=["log", "least", "not zero", "entropy"],
)
def test_what_tells_a_share_from_zero(tmp_path: Path, function: Callable[[Tensor], Tensor]) -> None:
    model = Applies(function).eval()
    with torch.no_grad():
        model.linear.weight.copy_(torch.eye(3, 4))
        model.linear.bias.zero_()
    pack = onnxpack.export(model, torch.randn(2, 4, generator=torch.manual_seed(0)), tmp_path / "p")
    x = torch.tensor([[0.0, -90, -95, 0], [0, -100, -88, 0], [0, -103, -110, 0], [5, -95, 5, 0]])
    (found,) = onnxpack.Model(pack).run({"x": x.numpy()}).values()
    with torch.no_grad():
        np.testing.assert_allclose(found, model(x).numpy(), rtol=2e-3, atol=1e-30)


def test_tails_behind_a_product_are_exported_with_exact_activations(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Applies(lambda z: (z.sigmoid() @ torch.eye(3)).log()).eval()
    pack = onnxpack.export(model, torch.randn(2, 4), tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.source.strategy == "torchscript trace, exact activations"


def operators_of(model: nn.Module, sample: Tensor, to: Path) -> set[str]:
    pack = onnxpack.export(model.eval(), sample, to)
    return {node.op_type for node in ir.load(pack.model_path).graph}


def test_a_gate_before_a_convolution_stays_one_operator(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.SiLU(), nn.Conv2d(3, 2, 1))
    operators = operators_of(model, torch.randn(2, 2, 5, 5), tmp_path / "pack")
    assert "Sigmoid" in operators
    assert "Exp" not in operators


def test_a_sigmoid_that_leaves_the_graph_is_exact(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())
    operators = operators_of(model, torch.randn(2, 4), tmp_path / "pack")
    assert "Sigmoid" not in operators


class Rolls(nn.Module):
    """A cell in a loop of a script, and a gate after it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = x[:, 0]
        for t in range(x.shape[1]):
            h = torch.sigmoid(self.inner(h)) * x[:, t]
        return torch.sigmoid(self.outer(h))


def test_the_body_of_a_loop_has_names_of_its_own(tmp_path: Path) -> None:
    model, x = Rolls().eval(), torch.randn(2, 5, 4)
    pack = onnxpack.export(model, x, tmp_path / "pack", dynamic={"x": {1: "time"}})
    assert pack.manifest is not None
    assert pack.manifest.source.strategy == "torchscript script"
    operators = [node.op_type for node in ir.load(pack.model_path).graph.all_nodes()]
    assert operators.count("Exp") == 2
