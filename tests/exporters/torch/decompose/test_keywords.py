"""Every stand-in takes arguments by the names that torch gives them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import onnxpack
from onnxpack.exporters.torch.decompose.keywords import renamed
from onnxpack.exporters.torch.decompose.mode import DECOMPOSITIONS

WRONGLY_LISTED = {"__rpow__", "isin", "logsumexp", "std", "var"}
"""Functions whose parameters have other names than ``get_testing_overrides`` says (torch 2.14)."""
LISTED = {
    torch.overrides.resolve_name(function): (function, listed)
    for function, listed in torch.overrides.get_testing_overrides().items()
    if getattr(function, "__name__", "") in DECOMPOSITIONS.keys() - WRONGLY_LISTED
}


@pytest.mark.parametrize("path", LISTED)
def test_what_torch_requires_is_taken_by_name(path: str) -> None:
    function, listed = LISTED[path]
    given = {
        each.name: object()
        for each in inspect.signature(listed).parameters.values()
        if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
    }
    found = renamed(function, DECOMPOSITIONS[function.__name__], (), given)
    assert found is not None
    assert list(found.values()) == list(given.values())


def test_names_of_numpy() -> None:
    ours = DECOMPOSITIONS["cumsum"]
    assert renamed(torch.cumsum, ours, (1,), {"axis": 2}) == {"dim": 2}
    assert renamed(torch.cumsum, ours, (), {"a": 1, "axis": 2}) == {"x": 1, "dim": 2}
    assert renamed(torch.isin, DECOMPOSITIONS["isin"], (1,), {"test_elements": 2}) == {"known": 2}


@pytest.mark.parametrize("options", [{"never": 1}, {"dim": 1, "axis": 1}, {"x": 1, "input": 1}])
def test_what_ours_does_not_take_is_left_to_torch(options: dict[str, Any]) -> None:
    assert renamed(torch.cumsum, DECOMPOSITIONS["cumsum"], (), options) is None


class Applies(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.matmul(input=x, other=x.T).cumsum(axis=1),
        lambda x: F.cosine_similarity(x1=x, x2=x + 1).clamp_(min=0.5),
        lambda x: torch.zeros(x.shape[0], 3).scatter_reduce(
            dim=1, index=x.long() % 3, src=x, reduce="sum"
        ),
        lambda x: torch.searchsorted(sorted_sequence=torch.arange(4.0), input=x),
        lambda x: torch.atan2(input=x, other=x + 1),
    ],
    ids=["product", "similarity", "scatter", "search", "atan2"],
)
def test_models_that_name_their_arguments(
    function: Callable[[Tensor], Tensor], tmp_path: Path
) -> None:
    model, x = Applies(function), torch.randn(5, 6)
    pack = onnxpack.export(model, torch.randn(3, 6), tmp_path / "pack")
    (found,) = onnxpack.Model(pack).run({"x": x.numpy()}).values()
    np.testing.assert_allclose(found, function(x).numpy(), rtol=1e-4, atol=1e-5)
