"""Models that reckon with missing values, and so are asked with some.

Only they are: elsewhere NaN is nothing that a model was made for, and ONNX Runtime may order it
otherwise than PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch.overrides import TorchFunctionMode

from onnxpack.signature import Array

RECKONS = {"isfinite", "isnan", "nan_to_num", "nanmean", "nanmedian", "nanquantile", "nansum"}
SHARE = 0.2
"""Of the numbers, so many are missing."""


def reckons_with_missing(run: Callable[[], Any]) -> bool:
    """Run, and tell whether something is asked of NaN."""
    with _Watch() as watch:
        run()
    return bool(watch.found)


def with_missing(feeds: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs with NaN among their numbers."""
    random = np.random.default_rng(0)
    return {
        name: np.where(random.random(array.shape) < SHARE, np.nan, array).astype(array.dtype)
        if array.dtype.kind == "f"
        else array
        for name, array in feeds.items()
    }


class _Watch(TorchFunctionMode):
    found: bool = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found = self.found or getattr(func, "__name__", "") in RECKONS
        return func(*args, **(kwargs or {}))
