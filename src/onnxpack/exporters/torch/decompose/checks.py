"""Skip a library's checks of values, which change nothing if they pass."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from torch import Tensor


def is_all_true(_: Tensor) -> Any:
    """Replace ``torch._is_all_true`` in ``torch.distributions``: values are assumed to be valid.

    ``validate_args`` raises for parameters and samples that do not fit. A graph cannot raise, so it
    answers there. For valid values, with which the proof works, both are the same.
    """
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - who asks decides
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith("torch.distributions."):
            return True
        if not name.startswith(("torch.", "onnxpack.exporters.torch.")):
            return NotImplemented
        frame = frame.f_back
    return NotImplemented
