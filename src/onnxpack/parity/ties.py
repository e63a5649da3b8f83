"""Values at which comparisons, roundings and choices of the largest are decided by a hair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from onnxpack.signature import Array

ZEROS = "zeros of both signs"


def round_values(sample: Mapping[str, Array]) -> Iterator[tuple[str, Mapping[str, Array]]]:
    """Zeros of both signs; and values rounded to halves: ties and zeros among others."""
    if not any(array.dtype.kind == "f" for array in sample.values()):
        return
    yield (
        ZEROS,
        {
            name: np.copysign(0, array).astype(array.dtype) if array.dtype.kind == "f" else array
            for name, array in sample.items()
        },
    )
    yield (
        "rounded to halves",
        {
            name: _halves(array) if array.dtype.kind == "f" else array
            for name, array in sample.items()
        },
    )


def _halves(array: Array) -> Array:
    spread = float(np.abs(array).max(initial=0.0, where=np.isfinite(array)))
    factor = np.asarray(1.0 if spread > 1 else 4.0, array.dtype)
    halves: Array = (np.round(array * factor * 2) / 2).astype(array.dtype)
    return halves
