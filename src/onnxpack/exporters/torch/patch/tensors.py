"""Read and restore the state of a tensor: its values, its memory, its gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor


def read_tensor(tensor: Tensor) -> tuple[list[Any], Callable[[], None]]:
    """Return what the tensor refers to, and a function that restores the tensor.

    A tensor without values of its own (on the meta device, of a lazy module) or of a kind that
    cannot be copied keeps only its flags.
    """
    gradient = tensor.grad if tensor.is_leaf else None
    content = _content(tensor)
    restore = partial(_restore, tensor, tensor.requires_grad, gradient, content)
    return [] if gradient is None else [gradient], restore


def _content(tensor: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return an alias of the tensor's memory, and a copy of it on the CPU."""
    try:
        if tensor.is_meta or tensor.layout != torch.strided:
            return None
        # Not detach(): it shares the version counter, so a restoration would count as a change.
        alias = tensor.data
        return alias, alias.to("cpu", copy=True)
    except Exception:  # noqa: BLE001 - subclasses and lazy parameters refuse in their own ways
        return None


def _restore(
    tensor: Tensor,
    requires_grad: bool,
    gradient: Tensor | None,
    content: tuple[Tensor, Tensor] | None,
) -> None:
    with torch.no_grad():
        if content is not None:
            alias, copy = content
            if not _is_at(tensor, alias):
                tensor.data = alias
            if not torch.equal(alias.cpu(), copy):
                alias.copy_(copy)
        if tensor.is_leaf:
            if tensor.requires_grad is not requires_grad:
                tensor.requires_grad_(requires_grad)
            if tensor.grad is not gradient:
                tensor.grad = gradient


def _is_at(tensor: Tensor, alias: Tensor) -> bool:
    """Return whether the tensor is still a view of the same memory."""
    return (
        tensor.data_ptr() == alias.data_ptr()
        and tensor.shape == alias.shape
        and tensor.stride() == alias.stride()
        and tensor.dtype is alias.dtype
    )
