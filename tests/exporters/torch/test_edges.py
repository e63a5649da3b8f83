"""What a PyTorch model is asked at its edges follows from the functions that it calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from onnxpack.exporters.torch.edges import edges
from onnxpack.exporters.torch.watch.missing import called_functions
from onnxpack.parity.masks import masked_rows

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
ROUND = {
    "zeros among the values", "zeros of both signs", "rounded to halves", "constant", "equal rows",
    "one-hot rows",
}  # fmt: skip


def asked(function: Callable[[Tensor], Any], sample: Any = None, weights: int = 0) -> set[str]:
    sample = sample or {"x": X}
    (first,) = list(sample.values())[:1]
    called = called_functions(lambda: function(torch.tensor(first)))
    return {name for name, _ in edges(sample, called, weights)}


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (lambda x: x * 2, ROUND),
        (lambda x: torch.nan_to_num(x), ROUND | {"missing values", "infinities"}),
        (lambda x: x.nansum(), ROUND | {"missing values"}),
        (lambda x: torch.logaddexp(x, x), ROUND | {"infinities"}),
        (lambda x: torch.angle(x), ROUND | {"infinities"}),
        (lambda x: x.isinf(), ROUND | {"infinities"}),
        (lambda x: x.topk(2), set()),
        (lambda x: torch.argsort(x), set()),
        (lambda x: torch.unique(x), set()),
        (lambda x: x.argmax(), ROUND),
    ],
)
def test_values_of_a_special_kind(function: Callable[[Tensor], Any], wanted: set[str]) -> None:
    assert asked(function) == wanted


def test_a_costly_model_is_asked_of_zeros_only() -> None:
    found = asked(lambda x: x * 2, weights=10**10)
    assert found == {"zeros among the values", "zeros of both signs"}


def test_integers_and_masks() -> None:
    sample = {"ids": np.full((2, 3), 9), "mask": np.ones((2, 3), bool)}
    masks = {name for name, _ in masked_rows(sample)}
    found = asked(lambda x: x * 2, sample)
    assert found == {"smaller integers", "integers negated", "integers across zero"} | masks
