"""Decompose logarithms of sums and of probabilities, without overflow."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from onnxpack.exporters import tails


def log1p(x: Tensor) -> Any:
    """Decompose ``torch.log1p``, exact for tiny numbers; the exporters write ``log(1 + x)``."""
    return tails.log1p(torch, x)


def expm1(x: Tensor) -> Any:
    """Decompose ``torch.expm1``, exact for tiny numbers; the exporters write ``exp(x) - 1``."""
    return tails.expm1(torch, x)


def log2(x: Tensor) -> Any:
    """Decompose ``torch.log2``, exact at powers of 2."""
    return _in_base(2.0, x)


def log10(x: Tensor) -> Any:
    """Decompose ``torch.log10``, exact at powers of 10."""
    return _in_base(10.0, x)


def _in_base(base: float, x: Tensor) -> Any:
    """Return the quotient of two logarithms, computed in float64.

    The exporters divide in float32: ``log2(32768)`` is 14.999999, and its floor 14.
    """
    if x.is_complex() or x.dtype is torch.float64:
        return NotImplemented
    dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
    return (x.double().log() / math.log(base)).to(dtype)


def logaddexp(x: Tensor, other: Tensor) -> Any:
    """Decompose ``torch.logaddexp`` relative to the larger operand.

    torch 2.14.1's dynamo exporter writes ``log(exp(x) + exp(y))``, which is infinite above 88 and
    minus infinity below -104; its TorchScript exporter does not support it.
    """
    return _logaddexp(x, other, 1.0)


def logaddexp2(x: Tensor, other: Tensor) -> Any:
    """Decompose ``torch.logaddexp2``: as :func:`logaddexp`, with base 2."""
    return _logaddexp(x, other, 0.6931471805599453)


def _logaddexp(x: Tensor, other: Tensor, base: float) -> Any:
    if x.is_complex() or other.is_complex():
        return NotImplemented
    larger = torch.maximum(x, other)
    alike = (x == other) & x.isinf()
    gap = torch.where(alike, 0, -(x - other).abs())
    return torch.where(alike, x, larger + log1p((gap * base).exp()) / base)


def logsumexp(x: Tensor, dim: Any, keepdim: bool = False) -> Any:
    """Decompose ``torch.logsumexp``: an infinite maximum is the answer; NaN stays NaN.

    onnxruntime 1.32's ``ReduceLogSumExp`` loses NaN next to infinity.
    """
    if not x.is_floating_point():
        return NotImplemented
    largest = x.amax(dim, keepdim=True)
    base = torch.where(largest.abs() == torch.inf, 0, largest)
    total = (x - base).exp().sum(dim, keepdim=True).log() + base
    if keepdim:
        return total
    axes = sorted(axis % x.dim() for axis in (dim if isinstance(dim, list | tuple) else (dim,)))
    for axis in reversed(axes):
        total = total.squeeze(axis)
    return total


def xlogy(x: Any, other: Any) -> Any:
    """Decompose ``torch.xlogy``: zero times anything but NaN is zero."""
    if not isinstance(x, Tensor) or not isinstance(other, Tensor):
        return NotImplemented
    safe = torch.where((x == 0) & ~other.isnan(), 1, other)
    return x * safe.log()


def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """Decompose ``torch.logit``, for which the exporters give NaN near a probability of one."""
    kept = x if eps is None else x.clamp(eps, 1 - eps)
    return (kept / (1 - kept)).log()


def log_sigmoid(x: Tensor) -> Tensor:
    """Decompose ``F.logsigmoid``: the exporters' logarithm of a sigmoid underflows too soon."""
    return -functional.softplus(-x)


def binary_cross_entropy(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Decompose ``F.binary_cross_entropy``, which no exporter writes.

    Each logarithm is at least -100.
    """
    if size_average is not None or reduce is not None:
        return NotImplemented
    yes, no = x.log().clamp(min=-100), log1p(-x).clamp(min=-100)
    each = (target - 1) * no - target * yes
    return _reduced(each if weight is None else each * weight, reduction)


def binary_cross_entropy_with_logits(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Any:
    """Decompose ``F.binary_cross_entropy_with_logits``.

    The exporters write the logarithm of a sigmoid, which underflows too soon.
    """
    if size_average is not None or reduce is not None:
        return NotImplemented
    share = 1 if pos_weight is None else 1 + (pos_weight - 1) * target
    each = (1 - target) * x + share * functional.softplus(-x)
    return _reduced(each if weight is None else each * weight, reduction)


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
    """Decompose ``F.cross_entropy`` with smoothed labels, which the exporters refuse."""
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


def _reduced(each: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return each
    return each.sum() if reduction == "sum" else each.mean()
