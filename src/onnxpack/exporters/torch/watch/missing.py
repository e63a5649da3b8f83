"""Find models that handle NaN or infinity, so that they are run with such values.

Other models were not made for NaN and infinity, and ONNX Runtime may order NaN differently from
PyTorch.
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
"""Functions that define their value at infinity, but that graphs write with other operators."""
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
"""Functions that promise no order, or no index, among equal values."""
POOLS_REGIONS = {"ps_roi_align", "ps_roi_pool", "roi_align", "roi_pool"}
"""Functions of torchvision whose kernels (0.29) read a box with NaN as one of billions of pixels:
they run for hours, or end the process."""
SHARE = 0.2
"""Share of the numbers that are replaced by NaN."""


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
