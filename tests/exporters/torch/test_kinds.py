"""Other kinds of modules: wrapped, scripted, exported, frozen, quantised, of other dtypes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import ExportError, NondeterministicError, SampleError

# torch announces the end of TorchScript and of its old quantisation wherever they are used.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:FutureWarning"),
]


def unwarned(make: Any) -> Any:
    """The old quantisation is announced to end, in many words."""

    def made() -> Any:
        with warnings.catch_warnings(action="ignore"):
            return make()

    return made


class Frozen(nn.Module):
    """Reshapes to the batch that its author had in mind."""

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, -1).reshape(2, 2, 2) * 3


class Branch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor, twice: bool = False) -> Tensor:
        y = self.linear(x)
        if bool(y.sum() > 0):
            y = y * 2
        for _ in range(2):
            y = y.tanh()
        return y + y if twice else y


class Deep(nn.Module):
    """A module that torch.compile and DataParallel stand inside of."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.DataParallel(net())

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * 2


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def x(n: int) -> Tensor:
    return torch.randn(n, 4)


def scripted() -> Any:
    return torch.jit.script(Branch().eval())


def traced() -> Any:
    return torch.jit.trace(net().eval(), x(2))


def program() -> Any:
    batch = torch.export.Dim("batch")
    return torch.export.export(net().eval(), (x(2),), dynamic_shapes=({0: batch},))


class Counting(nn.Module):
    """Answers otherwise from the fifty-first call on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))
        self.calls: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Count."""
        self.calls += 1
        return x + self.calls * (self.calls > 50)


def normalised() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3)).eval()


def program_of(model: nn.Module) -> Any:
    batch = torch.export.Dim("batch")
    return torch.export.export(model.eval(), (x(2),), dynamic_shapes=({0: batch},))


def frozen_program() -> Any:
    return torch.export.export(net().eval(), (x(2),))


@unwarned
def quantized() -> Any:
    return torch.ao.quantization.quantize_dynamic(net().eval(), {nn.Linear}, dtype=torch.qint8)


@unwarned
def static_quantized() -> Any:
    model = nn.Sequential(
        torch.ao.quantization.QuantStub(),
        nn.Linear(4, 3),
        nn.ReLU(),
        torch.ao.quantization.DeQuantStub(),
    ).eval()
    model.qconfig = torch.ao.quantization.get_default_qconfig("x86")
    prepared = torch.ao.quantization.prepare(model)
    prepared(torch.randn(64, 4))
    return torch.ao.quantization.convert(prepared)


def traced_int8() -> Any:
    with warnings.catch_warnings(action="ignore"):
        return torch.jit.trace(static_quantized(), x(2))


def frozen_script() -> Any:
    return torch.jit.freeze(torch.jit.script(net().eval()))


def computed() -> nn.Module:
    """Weights that eval mode computes anew from others."""
    parametrizations = nn.utils.parametrizations
    return nn.Sequential(
        parametrizations.orthogonal(nn.Linear(4, 4)),
        parametrizations.spectral_norm(nn.Linear(4, 4)),
        parametrizations.weight_norm(nn.Linear(4, 3), dim=None),
    )


PROVEN: dict[str, tuple[Any, Any, str]] = {
    "data parallel": (lambda: nn.DataParallel(net()), x, "Sequential"),
    "data parallel inside": (Deep, x, "Deep"),
    "scripted": (scripted, x, "RecursiveScriptModule"),
    "traced": (traced, x, "TopLevelTracedModule"),
    "exported program": (program, x, "ExportedProgram"),
    "scripted statistics": (lambda: torch.jit.script(normalised()), x, "RecursiveScriptModule"),
    "frozen script": (frozen_script, x, "RecursiveScriptModule"),
    "on computed weights": (computed, x, "Sequential"),
    "on frozen parameters": (lambda: net().requires_grad_(False), x, "Sequential"),
}


@pytest.mark.parametrize("name", PROVEN)
def test_proven(check: Any, name: str) -> None:
    make, inputs, kind = PROVEN[name]
    pack = check.proven(make, inputs)
    assert pack.manifest.source.model_class.endswith(kind)


def test_a_frozen_program_is_proven_at_its_own_size(check: Any) -> None:
    check.proven(frozen_program, x, static=True, fresh=(2, 2))


def test_the_module_of_a_program_has_one_mode(tmp_path: Path) -> None:
    module = program_of(normalised()).module()
    model = onnxpack.Model(onnxpack.export(module, x(2), tmp_path / "pack"))
    given = x(33)
    torch.testing.assert_close(torch.from_numpy(model(given.numpy())), module(given))


@pytest.mark.parametrize("make", [lambda: program_of(Counting()), Counting])
def test_a_program_that_counts_is_refused(check: Any, make: Any) -> None:
    check.refused(make, x, NondeterministicError, "self.calls")


def test_a_scripted_module_takes_its_arguments_by_name(check: Any) -> None:
    check.proven(scripted, lambda n: {"x": x(n)}, named=True)


@pytest.mark.parametrize("wrap", [lambda model: model, nn.DataParallel])
def test_a_compiled_module_is_unwrapped(tmp_path: Path, check: Any, wrap: Any) -> None:
    plain = net()
    pack = onnxpack.export(torch.compile(wrap(plain)), x(2), tmp_path / "pack")
    assert pack.manifest is not None
    assert pack.manifest.source.model_class.endswith("Sequential")
    check.compare(pack, plain, [x(4), x(33)])


@pytest.mark.parametrize(
    ("make", "inputs", "error", "word"),
    [
        (Frozen, lambda n: torch.randn(n, 2, 2), SampleError, "no other size than 2"),
        (frozen_program, x, SampleError, "no other size than 2"),
        (quantized, x, ExportError, "quantise the pack"),
        (static_quantized, x, ExportError, "0 (Quantize) computes in int8"),
        (lambda: traced_int8(), x, ExportError, "the scripted model computes in int8"),
        (lambda: nn.Linear(4, 3, device="meta"), x, SampleError, "refuses the sample"),
    ],
)
def test_refused(check: Any, make: Any, inputs: Any, error: Any, word: str) -> None:
    check.refused(make, inputs, error, word)


class Inside(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner = net().to(dtype)
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.to(self.dtype)).float()


NEVER_WRONG: dict[str, tuple[Any, Any]] = {
    "float64": (lambda: net().double(), lambda n: x(n).double()),
    "float64 inside": (lambda: Inside(torch.float64), x),
    "convolution in float64": (
        lambda: nn.Conv2d(3, 2, 3).double(),
        lambda n: torch.randn(n, 3, 5, 5, dtype=torch.float64),
    ),
}


@pytest.mark.parametrize("name", NEVER_WRONG)
def test_never_wrong(check: Any, name: str) -> None:
    make, inputs = NEVER_WRONG[name]
    try:
        check.proven(make, inputs)
    except ExportError:
        assert list(check.folder.iterdir()) == []
