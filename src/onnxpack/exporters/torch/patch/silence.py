"""The context in which PyTorch's exporters are called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from onnxpack.exporters.replaced import replaced
from onnxpack.exporters.silence import hidden


@contextmanager
def quiet() -> Iterator[None]:
    """Turn off output, gradients and fused attention, which has no ONNX form."""
    fused = torch.backends.mha.get_fastpath_enabled()
    compiled: Any = torch._C  # noqa: SLF001 - where the exporter switches its log
    # setup_onnx_logging of torch 2.14 tests a function in place of calling it, and so switches
    # the log of C++ on permanently: every failed export would print its whole graph.
    with hidden(), replaced(compiled, "_jit_set_onnx_log_enabled", lambda _: None), torch.no_grad():
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)
