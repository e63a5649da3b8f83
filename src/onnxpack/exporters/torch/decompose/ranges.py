"""Decompose ranges of evenly spaced numbers whose count depends on an input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def linspace(start: Any, end: Any, steps: Any, **options: Any) -> Any:
    """Decompose ``torch.linspace`` with a number of steps that varies.

    Both exporters of torch 2.14.1 divide by ``steps - 1``, which is 0 / 0 for a single step, and
    write only ``start + i * step``; PyTorch counts the second half down from the end, so that the
    last element is exactly ``end``.
    """
    if isinstance(steps, int):
        return NotImplemented
    dtype = options.get("dtype") or _default(start, end)
    wide = dtype if dtype.is_floating_point else torch.get_default_dtype()
    first, last = (_number(value, wide) for value in (start, end))
    count = _number(steps, torch.int64)
    place = torch.arange(steps)
    gap = (last - first) / torch.clamp(count - 1, min=1).to(wide)
    early = first + gap * place.to(wide)
    late = last - gap * (count - 1 - place).to(wide)
    # A single step is the start; PyTorch's halves meet at the integer steps // 2.
    found = torch.where((place * 2 + 1 < count) | (count == 1), early, late)
    return found if wide is dtype else found.to(dtype)


def logspace(start: Any, end: Any, steps: Any, base: float = 10.0, **options: Any) -> Any:
    """Decompose ``torch.logspace`` with a number of steps that varies."""
    if options.get("dtype") not in (None, torch.float32, torch.float64):
        return NotImplemented
    exponents = linspace(start, end, steps, **options)
    return NotImplemented if exponents is NotImplemented else torch.pow(base, exponents)


def _default(*given: Any) -> torch.dtype:
    """Return the dtype of the result: a floating-point tensor's own, or else the default."""
    kinds = [each.dtype for each in given if isinstance(each, Tensor)]
    floating = [kind for kind in kinds if kind.is_floating_point]
    return floating[0] if floating else torch.get_default_dtype()


def _number(value: Any, dtype: torch.dtype) -> Tensor:
    return value.to(dtype) if isinstance(value, Tensor) else torch.scalar_tensor(value, dtype=dtype)
