"""Masks of ``nn.Transformer``, taken as they are.

PyTorch looks at a mask's values to tell whether it is causal, which no graph can; and it would
only compute the same more quickly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.nn.modules import transformer


@contextmanager
def masks_unasked() -> Iterator[None]:
    """A mask counts as causal where the user says so, and nowhere else."""
    module: Any = transformer
    plain = module._detect_is_causal_mask  # noqa: SLF001

    def detect(_: Tensor | None, is_causal: bool | None = None, *__: int | None) -> bool:
        return is_causal is True

    module._detect_is_causal_mask = detect  # noqa: SLF001
    try:
        yield
    finally:
        module._detect_is_causal_mask = plain  # noqa: SLF001
