"""Decompositions of arithmetic that ONNX lacks, or has only for some numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def hypot(x: Tensor, other: Tensor) -> Tensor:
    """Decompose ``torch.hypot`` without squaring large or tiny numbers.

    If one operand is infinite the result is infinite, even if the other is NaN.
    """
    x, other = x.abs(), other.abs()
    larger, smaller = torch.maximum(x, other), torch.minimum(x, other)
    ratio = torch.where(larger == 0, 0, smaller / larger)
    far = (x == torch.inf) | (other == torch.inf)
    return torch.where(far, torch.inf, larger * (1 + ratio * ratio).sqrt())


def fmax(x: Tensor, other: Tensor) -> Tensor:
    """Decompose ``torch.fmax``, which is NaN only where both operands are."""
    return torch.where(x.isnan(), other, torch.where(other.isnan(), x, torch.maximum(x, other)))


def fmin(x: Tensor, other: Tensor) -> Tensor:
    """Decompose ``torch.fmin``, which is NaN only where both operands are."""
    return torch.where(x.isnan(), other, torch.where(other.isnan(), x, torch.minimum(x, other)))


def kron(x: Tensor, other: Tensor) -> Any:
    """Decompose ``torch.kron`` of tensors with equally many axes."""
    if x.dim() != other.dim():
        return NotImplemented
    for axis in range(x.dim()):
        x, other = x.unsqueeze(2 * axis + 1), other.unsqueeze(2 * axis)
    product = x * other
    for axis in range(product.dim() // 2):
        product = product.flatten(axis, axis + 1)
    return product


def cdist(x: Tensor, other: Tensor, p: float = 2.0, **_: Any) -> Any:
    """Decompose ``torch.cdist`` into differences.

    The TorchScript exporter of torch 2.14.1 writes ``F.pairwise_distance``, which adds 1e-6 to
    every difference, so that a row has a distance from itself. It does not support norms other than
    2.
    """
    gap = (x.unsqueeze(-2) - other.unsqueeze(-3)).abs()
    if p == 2:
        return (gap * gap).sum(-1).sqrt()
    if p in (0, torch.inf):
        return gap.amax(-1) if p else (gap != 0).sum(-1).to(x.dtype)
    return gap.sum(-1) if p == 1 else gap.pow(p).sum(-1).pow(1 / p)


def sign(x: Tensor) -> Any:
    """Decompose ``torch.sign``, which is 0 for NaN; ONNX ``Sign`` of onnxruntime 1.32 gives NaN."""
    if not x.is_floating_point():
        return NotImplemented
    return torch.where(x > 0, 1.0, torch.where(x < 0, -1.0, 0.0)).to(x.dtype)


def signbit(x: Tensor) -> Tensor:
    """Decompose ``torch.signbit``; the sign of a zero shows only in a division."""
    return (x < 0) | (1 / x < 0) if x.is_floating_point() else x < 0


def copysign(x: Tensor, other: Any) -> Any:
    """Decompose ``torch.copysign``; the sign of a zero shows only in a division."""
    if not isinstance(x, Tensor) or isinstance(other, torch.SymInt | torch.SymFloat):
        return NotImplemented
    if not isinstance(other, Tensor):
        other = torch.scalar_tensor(other)
    x = x.to(torch.result_type(x, other))
    x = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    return torch.where(signbit(other), -x.abs(), x.abs())


def heaviside(x: Tensor, values: Tensor) -> Tensor:
    """Decompose ``torch.heaviside``, which the exporters do not support."""
    return torch.where(x == 0, values, (x > 0).to(x.dtype))


def angle(x: Tensor) -> Tensor:
    """Decompose ``torch.angle``, with the signs of zeros, and NaN for NaN.

    torch 2.14.1's dynamo exporter takes ``atan(y / x)`` and adds pi below zero by the sign of
    ``y``, so that negative real numbers get -pi.
    """
    if x.is_complex():
        return atan2(x.imag, x.real)
    wide = x if x.is_floating_point() else x.to(torch.get_default_dtype())
    return torch.where(wide.isnan(), wide, torch.where(wide < 0, torch.pi, 0.0).to(wide.dtype))


def clamp(x: Tensor, min: Any = None, max: Any = None) -> Any:  # noqa: A002 - torch's names
    """Decompose ``torch.clamp`` of integers between floats, which PyTorch computes in floats."""
    if x.is_floating_point() or not any(isinstance(each, float) for each in (min, max)):
        return NotImplemented
    return x.to(torch.get_default_dtype()).clamp(min, max)


def hardshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """Decompose ``F.hardshrink``, which keeps NaN; ONNX ``Shrink`` makes it zero."""
    return torch.where(x.abs() <= lambd, 0.0, x)


def softshrink(x: Tensor, lambd: float = 0.5) -> Tensor:
    """Decompose ``F.softshrink``, which keeps NaN; ONNX ``Shrink`` makes it zero."""
    return torch.where(x.abs() <= lambd, 0.0, torch.where(x < 0, x + lambd, x - lambd))


def cosine_similarity(x: Tensor, other: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Decompose ``F.cosine_similarity``: each row is divided by its length, at least ``eps``.

    The exporters of torch 2.14.1 bound the product of both lengths, as PyTorch did before 1.12:
    tiny rows then differ by orders of magnitude.
    """
    x, other = torch.broadcast_tensors(x, other)  # type: ignore[no-untyped-call]
    x, other = (each / (each * each).sum(dim, True).sqrt().clamp(min=eps) for each in (x, other))
    return (x * other).sum(dim)


def threshold(x: Tensor, threshold: float, value: float, inplace: bool = False) -> Any:
    """Decompose ``F.threshold``, which keeps NaN."""
    return NotImplemented if inplace else torch.where(x <= threshold, value, x)


def rrelu(
    x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
    inplace: bool = False,
) -> Any:  # fmt: skip
    """Decompose ``F.rrelu`` in eval mode: a leaky ReLU with the mean slope."""
    return NotImplemented if training or inplace else functional.leaky_relu(x, (lower + upper) / 2)


def cov(x: Tensor, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """Decompose ``torch.cov`` of a matrix without weights."""
    if x.dim() != 2 or fweights is not None or aweights is not None:
        return NotImplemented
    away = x - x.mean(1, keepdim=True)
    return away @ away.T / (x.shape[1] - correction)


def corrcoef(x: Tensor) -> Any:
    """Decompose ``torch.corrcoef``: the covariance divided by both standard deviations."""
    if x.dim() != 2:
        return NotImplemented
    both = cov(x)
    spread = both.diagonal().sqrt()
    return (both / spread.unsqueeze(1) / spread).clamp(-1, 1)


def atan2(y: Tensor, x: Tensor) -> Tensor:
    """Decompose ``torch.atan2``, with the signs of zeros and of infinities.

    The exporters of torch 2.14.1 write ``atan(y / x)`` and lose both: 0 / 0 and ∞ / ∞ are NaN.
    """
    behind, below = ((part < 0) | (1 / part < 0) & (part == 0) for part in (x, y))
    far = (x.abs() == torch.inf) & (y.abs() == torch.inf)
    ratio = torch.where((x == 0) & (y == 0), 0, y / x)
    ratio = torch.where(far, torch.where(behind == below, 1.0, -1.0), ratio)
    return torch.atan(ratio) + torch.where(behind, torch.where(below, -torch.pi, torch.pi), 0)
