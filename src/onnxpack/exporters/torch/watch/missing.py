"""Models that ask for values of a special kind, and so are asked with some.

Only they are: elsewhere NaN and infinity are nothing that a model was made for, and ONNX Runtime
may order NaN otherwise than PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch.overrides import TorchFunctionMode

from onnxpack.signature import Array

RECKONS = {"isfinite", "isnan", "nan_to_num", "nanmean", "nanmedian", "nanquantile", "nansum"}
"""Functions that are called because a number may be missing."""
REACHES_INFINITY = {
    "angle", "atan2", "arctan2", "hypot", "isfinite", "isinf", "isneginf", "isposinf",
    "logaddexp", "logaddexp2", "logcumsumexp", "logsumexp", "nan_to_num", "softplus", "xlogy",
}  # fmt: skip
"""Functions that state what they give at infinity, and that graphs spell with other operators."""
UNORDERED = {
    "argsort",
    "kthvalue",
    "median",
    "mode",
    "msort",
    "nanmedian",
    "sort",
    "topk",
    "unique",
}
"""Functions that promise no order, or no place, among equal values."""
POOLS_REGIONS = {"ps_roi_align", "ps_roi_pool", "roi_align", "roi_pool"}
"""Functions of torchvision whose kernels (0.29) take a box that holds NaN for one of billions of
pixels: they run for hours, or end the process."""
SHARE = 0.2
"""Of the numbers, so many are missing."""


def called_functions(run: Callable[[], Any]) -> frozenset[str]:
    """Run the model, and return the names of the functions of torch that it calls."""
    with _Watch() as watch:
        run()
    return frozenset(watch.called)


def with_missing(feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Return the inputs with NaN among their numbers."""
    random = np.random.default_rng(0)
    return {
        name: np.where(random.random(array.shape) < SHARE, np.nan, array).astype(array.dtype)
        if array.dtype.kind == "f"
        else array
        for name, array in feeds.items()
    }


class _Watch(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.called: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.called.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))
