"""Operators that ONNX lacks, spelled out: right on ties, signs and rows of any number."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn


class Calls(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def table(n: int) -> Tensor:
    """With ties, and zeros of a sign."""
    return torch.randn(n, 5).mul(2).round().div(2)


FUNCTIONS: dict[str, Any] = {
    "cummax": lambda x: x.cummax(1),
    "cummin": lambda x: torch.cummin(x, 0),
    "cummax of integers": lambda x: x.long().cummax(1).values,
    "cumprod": lambda x: torch.cumprod(x.tanh(), 1),
    "kthvalue": lambda x: x.kthvalue(2, keepdim=True).values,
    "median": lambda x: x.median(1).values,
    "median of all": torch.median,
    "mode": lambda x: x.round().mode(1),
    "sort, stable": lambda x: x.sign().sort(dim=1, stable=True),
    "argsort, stable": lambda x: x.sign().argsort(dim=1, descending=True, stable=True),
    "hypot": lambda x: torch.hypot(x, x.flip(1)),
    "searchsorted": lambda x: torch.searchsorted(torch.tensor([-1.0, 0.0, 1.0]), x, side="right"),
    "searchsorted in rows": lambda x: torch.searchsorted(x.cumsum(1).abs().cumsum(1), x),
    "bucketize": lambda x: torch.bucketize(x, torch.tensor([-1.0, 0.5]), out_int32=True),
    "kron": lambda x: torch.kron(x, torch.ones(2, 3)),
    "take along": lambda x: torch.take_along_dim(x, x.argmax(1, keepdim=True), 1),
    "index put": lambda x: x.index_put(((x[:, 0] > 0).long() - 1,), x[0], accumulate=True),
    "unique consecutive": lambda x: torch.unique_consecutive(x.sign()),
    "fmax": lambda x: torch.fmax(x.sqrt(), x),
    "fmin": lambda x: torch.fmin(x.sqrt(), x),
    "isin": lambda x: torch.isin(x, torch.tensor([0.5, -1.0]), invert=True),
    "scatter mean": lambda x: x.scatter_reduce(1, (x > 0).long(), x.flip(1), "mean"),
    "scatter mean without itself": lambda x: x.scatter_reduce(
        1, (x > 0).long(), x.flip(1), "mean", include_self=False
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_proven(check: Any, name: str) -> None:
    check.proven(lambda: Calls(FUNCTIONS[name]), table, fresh=(1, 4, 9))
