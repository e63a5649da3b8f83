"""Perturb a model: change each of its numbers by a rounding.

The spread of such models' answers shows the rounding error of a computation. A single answer in
float64 does not always show it: two logits are close to it by chance in one case of ten, and code
that fixes float32 has no such answer.

Source: D. S. Parker, *Monte Carlo Arithmetic: exploiting randomness in floating-point arithmetic*,
UCLA CSD-970002, 1997.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


@torch.no_grad()
def perturb(tensors: Sequence[torch.Tensor], seed: int) -> None:
    """Move every floating-point number to one of its two neighbours, in place.

    Zeros and infinities stay: they are seldom the result of a rounding.

    Args:
        tensors: weights, buffers or inputs.
        seed: the seed of the random directions.
    """
    random = torch.Generator().manual_seed(seed)
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.layout is torch.strided:
            up = torch.randint(2, tensor.shape, generator=random, dtype=torch.bool)
            towards = torch.where(up, torch.inf, -torch.inf).to(tensor)
            kept = (tensor == 0) | ~tensor.isfinite()
            tensor.copy_(torch.where(kept, tensor, torch.nextafter(tensor, towards)))
