"""Use masks of ``nn.Transformer`` without a look at their values.

PyTorch reads a mask's values to find out whether it is causal, which a graph cannot do. A causal
mask would only make the same computation faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.nn.modules import transformer

from onnxpack.exporters.replaced import replaced


@contextmanager
def masks_unasked() -> Iterator[None]:
    """Treat a mask as causal only if the user says so."""

    def detect(_: Tensor | None, is_causal: bool | None = None, *__: int | None) -> bool:
        return is_causal is True

    with replaced(transformer, "_detect_is_causal_mask", detect):
        yield
