"""The setting in which PyTorch's exporters are called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from onnxpack.exporters.silence import hidden


@contextmanager
def quiet() -> Iterator[None]:
    """No noise, no gradients, and no fused attention: it has no ONNX form."""
    fused = torch.backends.mha.get_fastpath_enabled()
    with hidden(), torch.no_grad():
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
