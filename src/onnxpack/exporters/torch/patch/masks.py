"""Masks of ``nn.Transformer``, taken as they are.

PyTorch looks at a mask's values to tell whether it is causal, which no graph can; and it would
only compute the same more quickly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.nn.modules import transformer

from onnxpack.exporters.replaced import replaced


@contextmanager
def masks_unasked() -> Iterator[None]:
    """A mask counts as causal where the user says so, and nowhere else."""

    def detect(_: Tensor | None, is_causal: bool | None = None, *__: int | None) -> bool:
        return is_causal is True

    with replaced(transformer, "_detect_is_causal_mask", detect):
        yield
