"""Weights and inputs that are off by one rounding."""

from __future__ import annotations

import pytest
import torch

from onnxpack.exporters.torch.rewrite.perturbed import perturb


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_number_moves_to_a_neighbour(dtype: torch.dtype) -> None:
    plain = torch.randn(100, dtype=dtype)
    first, second, again = plain.clone(), plain.clone(), plain.clone()
    perturb([first], 0)
    perturb([second], 1)
    perturb([again], 0)
    up = torch.nextafter(plain, torch.full_like(plain, torch.inf))
    down = torch.nextafter(plain, torch.full_like(plain, -torch.inf))
    assert ((first == up) | (first == down)).all()
    assert (first == up).any()
    assert (first == down).any()
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_what_no_rounding_gave_stays() -> None:
    kept = [torch.tensor([0.0, -0.0, torch.inf, torch.nan]), torch.tensor([1, 2])]
    before = [each.clone() for each in kept]
    perturb(kept, 0)
    assert all(
        torch.equal(a.nan_to_num(9), b.nan_to_num(9)) for a, b in zip(kept, before, strict=True)
    )
