"""Which sizes of a tensor are the same for every input, and may become numbers of a graph.

A trace has the sample's number for every size. Where the number depends on a dynamic axis, a graph
made with it is right only near the sample: AdaptiveAvgPool2d would keep the sample's windows. The
run with symbolic sizes knows better: for each shape that occurs it says which sizes vary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

Varying = Mapping[tuple[int, ...], tuple[bool, ...]]
"""For each shape, whether each size varies in any tensor of this shape."""
_varying: ContextVar[Varying | None] = ContextVar("varying", default=None)


@contextmanager
def sizes_known(varying: Varying) -> Iterator[None]:
    """State, while a trace is made, which sizes vary in which shapes."""
    token = _varying.set(varying)
    try:
        yield
    finally:
        _varying.reset(token)


def fixed_size(x: Tensor, axis: int) -> int | None:
    """Return the size of an axis; None if it varies."""
    size: Any = x.shape[axis]
    if isinstance(size, torch.SymInt):
        return None
    varying = _varying.get()
    if varying is None:
        return int(size)
    return fixed_sizes([int(each) for each in x.shape], varying)[axis]


def fixed_sizes(shape: Sequence[int | None], varying: Varying) -> list[int | None]:
    """Return a shape with None for each size that varies in some tensor that may be this one.

    Of a shape that never occurred every size varies.
    """
    alike = [masks for known, masks in varying.items() if _fits(shape, known)]
    found: list[int | None] = list(shape) if alike else [None for _ in shape]
    for masks in alike:
        found = [None if varies else size for size, varies in zip(found, masks, strict=True)]
    return found


def _fits(shape: Sequence[int | None], known: tuple[int, ...]) -> bool:
    return len(shape) == len(known) and all(
        size in (None, other) for size, other in zip(shape, known, strict=True)
    )
