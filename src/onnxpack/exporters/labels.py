"""Check that the labels of a classifier can be stored in a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError

TENSOR_TYPES = (bool, np.bool_, int, float, np.integer, np.floating, str)


def refuse_labels(classes: Any) -> None:
    """Raise an error for classes that are neither numbers nor texts, such as dates.

    Args:
        classes: an array, or a list of arrays if a model has several outputs.

    Raises:
        ExportError: there is such a class.
    """
    for each in classes if isinstance(classes, list) else [classes]:
        array = np.asarray(each)
        odd = next((item for item in array.flat if not isinstance(item, TENSOR_TYPES)), None)
        if odd is not None:
            raise ExportError(
                f"the model's labels are {type(odd).__name__} ({odd}), expected numbers or "
                "strings.",
                remedy="before fit: y = y.astype(str)",
            )
