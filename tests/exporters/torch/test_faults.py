"""Faults planted in the graph: each is refused each time, and nothing is left behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

import onnxpack
from onnxpack.cli.main import main
from onnxpack.comparison.tolerance import Tolerance
from onnxpack.errors import ExportError, ParityError
from onnxpack.exporters.torch.exporter import inference_mode_of
from onnxpack.exporters.torch.subject import TorchSubject
from onnxpack.parity.cases import Axes
from onnxpack.parity.subject import Probes, Strategy

Plant = Callable[[onnx.ModelProto], None]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(8, 8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.second(self.first(x).relu()).tanh()
        return self.last(hidden), hidden


class Planted(TorchSubject):
    """PyTorch's own first strategy, with a fault put into what it writes."""

    plant: Plant

    def strategies(self, axes: Axes, opset: int, outputs: Sequence[str]) -> Iterator[Strategy]:
        honest = next(iter(super().strategies(axes, opset, outputs)))

        def make(to: Path) -> Probes:
            probes = honest.make(to)
            model = onnx.load(to)
            self.plant(model)
            onnx.save(model, to)
            return probes

        yield Strategy("planted", make)


@dataclass
class Point:
    """An entry point whose exporter plants a fault."""

    plant: Plant

    def load(self) -> Any:
        return lambda: self

    refines = ""

    def accepts(self, model: object) -> bool:
        return True

    @contextmanager
    def open(self, model: Any, sample: Any) -> Iterator[TorchSubject]:
        with inference_mode_of(model):
            subject = Planted(model, sample)
            subject.plant = self.plant
            yield subject


def weight(model: onnx.ModelProto, layer: str) -> onnx.TensorProto:
    return next(
        tensor for tensor in model.graph.initializer if tensor.name.endswith(f"{layer}.weight")
    )


def change(model: onnx.ModelProto, layer: str, function: Callable[[Any], Any]) -> None:
    tensor = weight(model, layer)
    array = function(numpy_helper.to_array(tensor).copy()).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def after(model: onnx.ModelProto, op: str, constants: Sequence[Any] = (), **options: Any) -> None:
    """One more node between the first output and what gave it."""
    output = model.graph.output[0].name
    for node in model.graph.node:
        for place, name in enumerate(node.output):
            if name == output:
                node.output[place] = "honest"
    names = [f"planted_{place}" for place in range(len(constants))]
    for name, value in zip(names, constants, strict=True):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    model.graph.node.append(helper.make_node(op, ["honest", *names], [output], **options))


def one_element(array: Any) -> Any:
    array[0, 0] += 1
    return array


def swap_outputs(model: onnx.ModelProto) -> None:
    after(model, "Identity")
    shown = [node for node in model.graph.node if "output_1" in node.output]
    shown[0].output[0] = "hidden"
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = "hidden" if name == "output_1" else name
    model.graph.node.append(helper.make_node("Neg", ["hidden"], ["output_1"]))


def make_double(model: onnx.ModelProto) -> None:
    after(model, "Cast", to=onnx.TensorProto.DOUBLE)
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


def drop_output(model: onnx.ModelProto) -> None:
    del model.graph.output[1]


def rename_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "image"
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = "image" if name == "x" else name


def fix_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


def train(model: onnx.ModelProto) -> None:
    after(model, "Dropout", [np.float32(0.5), np.bool_(True)])


def nan(array: Any) -> Any:
    array[0, 0] = np.nan
    return array


FAULTS: dict[str, tuple[Plant, type[ExportError], str]] = {
    "frozen batch": (
        lambda m: after(m, "Reshape", [np.array([2, 3])]),
        ParityError,
        "a size that should vary was fixed inside the graph",
    ),
    "frozen input": (fix_input, ExportError, "axis 0 of input 'x', 'batch', was frozen at 2"),
    "wrong constant": (
        lambda m: change(m, "second", one_element),
        ParityError,
        "'second/Gemm' is the first node that differs, after 'first', which agrees",
    ),
    "wrong constant in the last layer": (
        lambda m: change(m, "last", one_element),
        ParityError,
        "'last/Gemm' is the first node that differs, after 'second', which agrees",
    ),
    "wrong constant in the first layer": (
        lambda m: change(m, "first", one_element),
        ParityError,
        "'first/Gemm' is the first node that differs: ",
    ),
    "dropout in train mode": (train, ExportError, "draws random numbers, by Dropout"),
    "output permuted": (
        lambda m: after(m, "Gather", [np.array([0, 2, 1])], axis=1),
        ParityError,
        "elements differ",
    ),
    "output negated": (swap_outputs, ParityError, "output 'output_1'"),
    "dtype changed": (make_double, ParityError, "is float64[2, 3], expected float32[2, 3]"),
    "output missing": (drop_output, ExportError, "the graph's outputs are ['output_0']"),
    "input renamed": (rename_input, ExportError, "the graph's inputs are ['image']"),
    "not a number": (lambda m: change(m, "last", nan), ParityError, "NaN or infinity"),
    "off by one per cent": (
        lambda m: after(m, "Mul", [np.float32(1.01)]),
        ParityError,
        "elements differ",
    ),
    "off by three thousandths": (
        lambda m: after(m, "Mul", [np.float32(1.003)]),
        ParityError,
        "elements differ",
    ),
    "off by what would be noise in a worse model": (
        lambda m: after(m, "Add", [np.float32(2e-4)]),
        ParityError,
        "elements differ",
    ),
    "a constant answer": (
        lambda m: after(m, "Mul", [np.float32(0)]),
        ParityError,
        "elements differ",
    ),
    "clipped above": (
        lambda m: after(m, "Clip", [np.float32(-1), np.float32(1)]),
        ParityError,
        "×30: output 'output_0'",
    ),
    "off by two thousandths": (
        lambda m: after(m, "Mul", [np.float32(1 + 2**-9)]),
        ParityError,
        "elements differ",
    ),
    "does not load": (
        lambda m: after(m, "NoSuchOperator"),
        ExportError,
        "NoSuchOperator",
    ),
}


class Unbounded(Net):
    """So that the factor 30 shows: no tanh."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.second(self.first(x).relu())
        return self.last(hidden), hidden


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[Plant], None]:
    def planted(fault: Plant) -> None:
        monkeypatch.setattr("onnxpack.exporters.choose.exporters", lambda: {"torch": Point(fault)})

    return planted


@pytest.mark.parametrize("name", FAULTS)
def test_refused(plant: Any, tmp_path: Path, name: str) -> None:
    fault, error, words = FAULTS[name]
    plant(fault)
    torch.manual_seed(0)
    model = Unbounded() if "clipped" in name else Net()
    with pytest.raises(error) as caught:
        onnxpack.export(model, torch.randn(2, 4), tmp_path / "pack")
    assert type(caught.value) is error
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("factor", [1 + 1e-6, 1 - 1e-5, 1.0005])
def test_float_noise_is_accepted(plant: Any, tmp_path: Path, factor: float) -> None:
    plant(lambda model: after(model, "Mul", [np.float32(factor)]))
    pack = onnxpack.export(Net(), torch.randn(2, 4), tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.parity.passed
    assert onnxpack.Model(pack).prove().ok


def test_a_stricter_tolerance_is_kept(plant: Any, tmp_path: Path) -> None:
    plant(lambda model: after(model, "Mul", [np.float32(1.0005)]))
    with pytest.raises(ParityError):
        onnxpack.export(
            Net(), torch.randn(2, 4), tmp_path / "p", tolerance=Tolerance(rtol=1e-5, atol=1e-6)
        )


def test_a_pack_that_stood_there_stays(plant: Any, tmp_path: Path) -> None:
    first = onnxpack.export(Net(), torch.randn(2, 4), tmp_path / "pack")
    plant(FAULTS["wrong constant"][0])
    with pytest.raises(ParityError):
        onnxpack.export(Net(), torch.randn(2, 4), tmp_path / "pack", force=True)
    assert onnxpack.open_pack(tmp_path / "pack").digest == first.digest


def test_the_command_exits_one(
    plant: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wrong_net.py").write_text(
        "import torch\n\ndef make():\n    return torch.nn.Sequential(torch.nn.Linear(4, 3))\n"
    )
    plant(lambda model: after(model, "Mul", [np.float32(1.01)]))
    out = tmp_path / "pack"
    argv = ["export", f"{tmp_path / 'wrong_net.py'}:make", "--sample", "2x4", "-o", str(out)]
    assert main(argv) == 1
    told = capsys.readouterr()
    assert re.search(r"planted: answers differently in (\d+) of \1 cases", told.err)
    assert "PASS" not in told.out
    assert not out.exists()


def test_a_fused_layer_is_not_blamed(plant: Any, tmp_path: Path) -> None:
    """BatchNorm is folded into the convolution before it, whose own output so differs."""
    torch.manual_seed(0)
    parts = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2)]
    model = nn.Sequential(*parts)
    for values in (parts[1].running_mean, parts[1].running_var):
        values.uniform_(0.5, 2.0)
    plant(lambda proto: change(proto, "4", lambda array: array + 0.1))
    with pytest.raises(ParityError, match="'4/Gemm' is the first node that differs, after '3'"):
        onnxpack.export(model, torch.randn(2, 3, 6, 6), tmp_path / "pack")
