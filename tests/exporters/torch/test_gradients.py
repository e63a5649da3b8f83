"""Models that differentiate in forward: written down with their backward pass, or refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from onnxpack.errors import ExportError, ParityError


class Energy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.LayerNorm(8), nn.Linear(8, 1))


class Forces(Energy):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            energy = self.net(x)
            (slope,) = torch.autograd.grad(energy.sum(), x)
        return energy.detach(), -slope


class Score(Energy):
    def forward(self, x: Tensor) -> Tensor:
        return torch.func.grad(lambda y: self.net(y).sum())(x)


class Tangent(Energy):
    """Forward mode: the value, and its derivative along a direction."""

    def forward(self, x: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
        return torch.func.jvp(lambda y: (y @ self.net[0].weight.T).sin(), (x,), (along,))


class GradCam(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            seen = self.conv(x.detach().requires_grad_())
            best = self.head(seen.relu().mean((2, 3))).amax(1).sum()
            (slope,) = torch.autograd.grad(best, seen)
        return (slope.mean((2, 3), keepdim=True) * seen.detach()).sum(1).relu()


class BySize(Energy):
    """Another answer to large batches."""

    def forward(self, x: Tensor) -> Tensor:
        slope = torch.func.grad(lambda y: self.net(y).sum())(x)
        return slope * 2 if x.shape[0] > 20 else slope


class ByValue(Energy):
    def forward(self, x: Tensor) -> Tensor:
        slope = torch.func.grad(lambda y: self.net(y).sum())(x)
        return slope * 2 if slope.sum() > 1e6 else slope


class EachRow(Energy):
    def forward(self, x: Tensor) -> Tensor:
        return torch.vmap(torch.func.jacrev(self.net))(x)


def rows(n: int) -> Tensor:
    return torch.randn(n, 4)


@pytest.mark.parametrize("kind", [Forces, Score])
def test_proven(check: Any, kind: type[nn.Module]) -> None:
    pack = check.proven(kind, rows)
    assert pack.manifest.source.strategy == "dynamo, differentiated"


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # torch's own, in jvp
def test_forward_mode(check: Any) -> None:
    check.proven(Tangent, lambda n: (rows(n), rows(n)))


def test_convolutions(check: Any) -> None:
    check.proven(GradCam, lambda n: torch.randn(n, 3, 7, 8), fresh=(1, 4, 17))


def test_a_size_that_decides_is_found(check: Any) -> None:
    check.refused(BySize, rows, ParityError, "batch=31")


def test_a_value_that_decides_is_refused(check: Any) -> None:
    check.refused(ByValue, rows, ExportError, "Python code depends on a tensor's values")


def test_the_cause_is_the_line(check: Any) -> None:
    caught = check.refused(EachRow, rows, ExportError, "forward() computes a gradient in a way")
    assert "at test_gradients.py:" in caught.message
    assert "write the derivative as a formula" in caught.remedy
