"""Arithmetic that ONNX lacks, or has for fewer numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols
from torch.nn import functional


def hypot(x: Tensor, other: Tensor) -> Tensor:
    """Without squaring what is large or tiny."""
    larger, smaller = torch.maximum(x.abs(), other.abs()), torch.minimum(x.abs(), other.abs())
    ratio = torch.where((larger == 0) | larger.isinf(), 0, smaller / larger)
    return larger * (1 + ratio * ratio).sqrt()


def fmax(x: Tensor, other: Tensor) -> Tensor:
    """NaN only where both are."""
    return torch.where(x.isnan(), other, torch.where(other.isnan(), x, torch.maximum(x, other)))


def fmin(x: Tensor, other: Tensor) -> Tensor:
    """NaN only where both are."""
    return torch.where(x.isnan(), other, torch.where(other.isnan(), x, torch.minimum(x, other)))


def kron(x: Tensor, other: Tensor) -> Any:
    """Each axis of the one beside that of the other."""
    if x.dim() != other.dim():
        return NotImplemented
    for axis in range(x.dim()):
        x, other = x.unsqueeze(2 * axis + 1), other.unsqueeze(2 * axis)
    product = x * other
    for axis in range(product.dim() // 2):
        product = product.flatten(axis, axis + 1)
    return product


def cdist(x: Tensor, other: Tensor, p: float = 2.0, **_: Any) -> Any:
    """By any norm but the second."""
    if p == 2:
        return NotImplemented
    gap = (x.unsqueeze(-2) - other.unsqueeze(-3)).abs()
    if p in (0, torch.inf):
        return gap.amax(-1) if p else (gap != 0).sum(-1).to(x.dtype)
    return gap.sum(-1) if p == 1 else gap.pow(p).sum(-1).pow(1 / p)


def copysign(x: Tensor, other: Any) -> Any:
    """A zero has a sign too."""
    if not isinstance(x, Tensor) or not isinstance(other, Tensor):
        return NotImplemented
    return torch.where((other < 0) | (1 / other < 0), -x.abs(), x.abs())


def ndtr(x: Tensor) -> Tensor:
    """The share of a normal distribution below."""
    return (1 + torch.erf(x * 0.5**0.5)) / 2


def log_sigmoid(x: Tensor) -> Tensor:
    """The exporters write the logarithm of a sigmoid, which is zero too soon."""
    return -functional.softplus(-x)


def threshold(x: Tensor, threshold: float, value: float, inplace: bool = False) -> Any:
    """NaN stays."""
    return NotImplemented if inplace else torch.where(x <= threshold, value, x)


def rrelu(
    x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
    inplace: bool = False,
) -> Any:  # fmt: skip
    """In eval mode, of the mean slope."""
    return NotImplemented if training or inplace else functional.leaky_relu(x, (lower + upper) / 2)


def remainder(x: Any, other: Any) -> Any:
    """By a size that is to vary, as a tensor."""
    if not isinstance(x, Tensor) or not isinstance(other, torch.SymInt):
        return NotImplemented
    return torch.remainder(x, torch.scalar_tensor(other, dtype=x.dtype))


def cov(x: Tensor, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Of rows, all of one weight."""
    if x.dim() != 2 or fweights is not None or aweights is not None:
        return NotImplemented
    away = x - x.mean(1, keepdim=True)
    return away @ away.T / (x.shape[1] - correction)


def corrcoef(x: Tensor) -> Any:
    """The covariance over both spreads."""
    if x.dim() != 2:
        return NotImplemented
    both = cov(x)
    spread = both.diagonal().sqrt()
    return (both / spread.unsqueeze(1) / spread).clamp(-1, 1)


def atan2(y: Tensor, x: Tensor) -> Tensor:
    """With the signs that zeros have."""
    behind, below = ((part < 0) | (1 / part < 0) & (part == 0) for part in (x, y))
    ratio = torch.where((x == 0) & (y == 0), 0, y / x)
    return torch.atan(ratio) + torch.where(behind, torch.where(below, -torch.pi, torch.pi), 0)


def expm1(x: Tensor) -> Tensor:
    """Right for tiny numbers, which is what it is for."""
    return torch.tanh(x / 2) * (x.exp() + 1)


def log1p(x: Tensor) -> Tensor:
    """Right for tiny numbers, which is what it is for."""
    small = torch.where(x.abs() < 0.5, x, 0)
    return torch.where(x.abs() < 0.5, 2 * torch.atanh(small / (2 + small)), torch.log(1 + x))


def mean(x: Tensor, dim: Any = None, keepdim: bool = False, **options: Any) -> Any:
    """Of as many elements as values decide, which may be none."""
    if options or not any(free_unbacked_symbols(size) for size in x.shape):
        return NotImplemented
    if dim is None:
        return x.sum() / x.numel()
    count = 1
    for axis in dim if isinstance(dim, list | tuple) else (dim,):
        count = count * x.shape[axis]
    return x.sum(dim, keepdim) / count


def cross_entropy(
    x: Tensor,
    target: Tensor,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """With smoothed labels: a share of the loss for every class alike."""
    others = (weight, size_average, reduce)
    if not label_smoothing or target.is_floating_point() or any(o is not None for o in others):
        return NotImplemented
    logs = -x.log_softmax(1)
    kept = target != ignore_index
    own = logs.gather(1, torch.where(kept, target, 0).unsqueeze(1)).squeeze(1)
    each = ((1 - label_smoothing) * own + label_smoothing * logs.mean(1)) * kept
    if reduction == "none":
        return each
    return each.sum() if reduction == "sum" else each.sum() / kept.sum()


def binary_cross_entropy_with_logits(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Any:
    """The exporters take the logarithm of a sigmoid, which is zero too soon."""
    if size_average is not None or reduce is not None:
        return NotImplemented
    share = 1 if pos_weight is None else 1 + (pos_weight - 1) * target
    each = (1 - target) * x + share * functional.softplus(-x)
    each = each if weight is None else each * weight
    if reduction == "none":
        return each
    return each.sum() if reduction == "sum" else each.mean()
