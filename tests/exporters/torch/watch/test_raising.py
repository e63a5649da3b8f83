"""Errors that a model raises where no usual case reaches are notes of the pack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.exporters.torch.watch.raising import SILENT, checks_values

SAMPLE = torch.randn(2, 9, 6, generator=torch.Generator().manual_seed(0))


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.linear(x)
        return found


class Long(Layer):
    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] > 120:
            raise ValueError("too long")
        return super().forward(x)


class Checked(Layer):
    def forward(self, x: Tensor) -> Tensor:
        torch._check(x.shape[1] < 100, "too long")
        return super().forward(x)


class Asserted(Layer):
    def forward(self, x: Tensor) -> Tensor:
        torch._assert_async((x < 1e9).all())
        return super().forward(x)


class Counted(Layer):
    def forward(self, x: Tensor) -> Tensor:
        count: Any = (x > 0).sum().item()
        torch._check(count < 10**6)
        return super().forward(x)


class Distributed(Layer):
    """``torch.distributions`` raises an error for a scale below 0."""

    def forward(self, x: Tensor) -> Tensor:
        known: Any = torch.distributions.Normal(x, x.abs() + 1)
        found: Tensor = known.log_prob(super().forward(x))
        return found


class Unchecked(Layer):
    """Asks its distribution for no checks."""

    def forward(self, x: Tensor) -> Tensor:
        known: Any = torch.distributions.Normal(x, x.abs() + 1, validate_args=False)
        found: Tensor = known.log_prob(super().forward(x))
        return found


class Fixed(Layer):
    """Checks a size that is the same in every case."""

    def forward(self, x: Tensor) -> Tensor:
        torch._check(x.shape[2] == 6)
        return super().forward(x)


def program(model: nn.Module, **limits: int) -> torch.export.ExportedProgram:
    free: Any = (torch.export.Dim.DYNAMIC, torch.export.Dim("t", **limits))
    return torch.export.export(model, (SAMPLE,), dynamic_shapes=(dict(enumerate(free)),))


def notes_of(model: Any, folder: Path) -> tuple[str, ...]:
    manifest = onnxpack.export(model, SAMPLE, folder, dynamic={"x": {1: "t"}}).manifest
    assert manifest is not None
    return tuple(manifest.notes)


@pytest.mark.parametrize(
    ("make", "limit", "line"),
    [
        (Long, "t above 120", "if x.shape[1] > 120"),
        (Checked, "t above 99", "torch._check(x.shape[1] < 100"),
        (lambda: program(Layer(), max=300), "t above 300", "x.size()[1] <= 300"),
    ],
    ids=["raise", "check", "program"],
)
def test_a_bound_of_a_dim(tmp_path: Path, make: Any, limit: str, line: str) -> None:
    (note,) = notes_of(make(), tmp_path / "pack")
    assert note.startswith(f"the model itself refuses {limit} (")
    assert line in note or "too long" in note


@pytest.mark.parametrize(
    "make",
    [Asserted, Counted, Distributed, lambda: program(Asserted())],
    ids=["assert", "count", "distribution", "program"],
)
def test_a_check_of_values(tmp_path: Path, make: Any) -> None:
    assert notes_of(make(), tmp_path / "pack") == (SILENT,)


@pytest.mark.parametrize("validated", [True, False])
def test_torch_compile_hides_no_check(tmp_path: Path, validated: bool) -> None:
    """It turns the checks of distributions off in a whole process, which servers do not share."""
    distribution = torch.distributions.Distribution
    before = distribution._validate_args
    distribution.set_default_validate_args(validated)
    try:
        assert notes_of(Distributed(), tmp_path / "pack") == (SILENT,)
    finally:
        distribution.set_default_validate_args(before)


@pytest.mark.parametrize("make", [Layer, Fixed, Unchecked, lambda: program(Layer())])
def test_a_model_without_a_bound_has_no_note(tmp_path: Path, make: Any) -> None:
    assert notes_of(make(), tmp_path / "pack") == ()


def test_a_program_with_a_check() -> None:
    assert checks_values(program(Asserted()))
    assert not checks_values(program(Layer()))
