"""Decompose special functions that ONNX lacks into polynomials exact to float32's precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from onnxpack.exporters import tails

MIDDLE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
    -0.0076224613, 0.00943887047, 1.00167406, 2.83297682,
)  # fmt: skip
"""Coefficients of Giles, "Approximating the erfinv function" (GPU Computing Gems 2), single
precision."""


def erfc(x: Tensor) -> Any:
    """Decompose ``torch.erfc``; the exporters write ``1 - erf(x)``, which is 0 above 4."""
    return tails.erfc(torch, x, torch.erf) if x.dtype is torch.float32 else NotImplemented


def ndtr(x: Tensor) -> Any:
    """Decompose ``torch.special.ndtr``: the share of a normal distribution below ``x``."""
    if x.dtype is not torch.float32:
        return (1 + torch.erf(x * 0.5**0.5)) / 2
    return erfc(-x * 0.5**0.5) / 2


def log_ndtr(x: Tensor) -> Any:
    """Decompose ``torch.special.log_ndtr``, for which torch 2.14.1 needs an exact ``erfcx``."""
    return tails.log_ndtr(torch, x, torch.erf) if x.dtype is torch.float32 else NotImplemented


def erfcx(x: Tensor) -> Any:
    """Decompose ``torch.special.erfcx``: ``exp(x * x) * erfc(x)`` without its overflow."""
    return tails.erfcx(torch, x) if x.dtype is torch.float32 else NotImplemented


def erfinv(x: Tensor) -> Any:
    """Decompose ``torch.erfinv``, which no exporter of torch 2.14.1 writes."""
    if x.dtype is not torch.float32:
        return NotImplemented
    edge = x.abs() == 1
    inner = torch.where(edge, 0.0, x)
    far = -((1 - inner) * (1 + inner)).log()
    middle = _polynomial(MIDDLE, far - 2.5)
    tail = _polynomial(TAIL, far.clamp(min=0).sqrt() - 3)
    return torch.where(edge, x * torch.inf, torch.where(far < 5, middle, tail) * inner)


def _polynomial(factors: tuple[float, ...], x: Tensor) -> Tensor:
    found = torch.full_like(x, factors[0])
    for factor in factors[1:]:
        found = found * x + factor
    return found
