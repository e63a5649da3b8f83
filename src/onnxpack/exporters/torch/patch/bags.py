"""Keep PyTorch's EmbeddingBag from reading outside of memory."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from torch.utils._python_dispatch import _get_current_dispatch_mode as get_mode

from onnxpack.exporters.replaced import existing, replaced


@contextmanager
def bags_checked() -> Iterator[None]:
    """Make EmbeddingBag refuse offsets that do not ascend from 0 within the ids.

    The kernels of PyTorch 2.14 do not check them all: offsets that the proof has negated or drawn
    would read foreign memory or end the process.
    """
    plain = existing(functional, "embedding_bag", function=True)

    def embedding_bag(*args: Any, **options: Any) -> Any:
        given = inspect.signature(plain).bind(*args, **options).arguments
        # A watch would take the check for a decision of the model's; it runs with the sample only.
        watched = torch._C._len_torch_function_stack() or get_mode() is not None  # noqa: SLF001
        if given.get("offsets") is not None and not watched:
            has_end = given.get("include_last_offset", False)
            _check(given["offsets"], len(given["input"]), has_end=has_end)
        return plain(*args, **options)

    with replaced(functional, "embedding_bag", embedding_bag):
        yield


def _check(offsets: torch.Tensor, count: int, *, has_end: bool) -> None:
    """Raise an IndexError unless the offsets are ones that PyTorch's documentation allows."""
    values = offsets.tolist()
    first, last = (values[0], values[-1]) if values else (0, 0)
    ends = (last == count and len(values) > 1) if has_end else last <= count
    if first != 0 or not ends or values != sorted(values):
        raise IndexError(
            "offsets of EmbeddingBag must ascend from 0 to "
            f"{'' if has_end else 'at most '}{count}, got {values[:8]}"
        )
