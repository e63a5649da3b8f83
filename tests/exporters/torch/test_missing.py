"""Models that reckon with missing values are asked with some; others are not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from onnxpack.errors import ParityError


class Calls(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.linear, x)


def imputed(linear: Any, x: Tensor) -> Tensor:
    mean = x.nanmean(0)
    return linear(torch.where(x.isnan(), mean, x).nan_to_num())


def rows(n: int) -> Tensor:
    return torch.randn(n, 4)


def holed(n: int) -> Tensor:
    return rows(2) if n == 2 else torch.where(torch.rand(n, 4) < 0.3, torch.nan, rows(n))


def test_proven(check: Any) -> None:
    pack = check.proven(lambda: Calls(imputed), holed)
    assert "missing values" in [case.name for case in pack.manifest.parity.cases]


def test_not_asked(check: Any) -> None:
    pack = check.proven(lambda: Calls(lambda f, x: f(x)), rows)
    assert "missing values" not in [case.name for case in pack.manifest.parity.cases]


@pytest.mark.parametrize("best", ["argmax", "argmin"])
def test_an_order_of_nan_is_found(check: Any, best: str) -> None:
    def places(f: Any, x: Tensor) -> Tensor:
        return getattr(x, best)(1) * x.isfinite().any(1)

    error = check.refused(lambda: Calls(places), rows, ParityError, "missing values")
    assert "accept=['missing values']" in error.remedy
