"""A model beside a model: each of its numbers is off by a rounding of float32.

What float32 costs a computation shows in how far such models answer apart. One answer in float64
does not always show it: two logits are near it by chance in one case of ten.

Source: D. S. Parker, *Monte Carlo Arithmetic: exploiting randomness in floating-point arithmetic*,
UCLA CSD-970002, 1997.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

ROUNDING = 2.0**-24
"""Half a unit in the last place of float32, as a fraction."""


@contextmanager
def perturbed(
    module: torch.nn.Module, inputs: Sequence[torch.Tensor], seed: int
) -> Iterator[list[torch.Tensor]]:
    """Perturb the weights and buffers of a module in float64; they are restored at the end.

    Args:
        module: of float64.
        inputs: those of a floating dtype are in float64.
        seed: of the signs of the roundings.

    Yields:
        The inputs, perturbed.
    """
    random = torch.Generator().manual_seed(seed)
    weights = [each for each in (*module.parameters(), *module.buffers()) if _is_wide(each)]
    kept = [each.detach().clone() for each in weights]
    try:
        with torch.no_grad():
            for weight in weights:
                weight.copy_(_perturbed(weight, random))
        yield [_perturbed(each, random) if _is_wide(each) else each for each in inputs]
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)


def _is_wide(tensor: torch.Tensor) -> bool:
    return tensor.dtype is torch.float64 and tensor.layout is torch.strided


def _perturbed(tensor: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    signs = torch.randint(2, tensor.shape, generator=random) * 2 - 1
    return tensor * (1 + ROUNDING * signs.to(tensor.device))
