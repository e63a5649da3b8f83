"""Draw random arrays with Python's own generator, since importing numpy's is slow.

The import costs as much as running a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from random import Random

import numpy as np

from onnxpack.errors import FeedError
from onnxpack.signature import Array, TensorSpec

OTHER_SIZE = 8
"""Size of a dynamic dim that nothing is known about."""

MAX_ELEMENTS = 2**30


def draw(
    source: Random, spec: TensorSpec, sizes: Mapping[str, int], *, like: Array | None = None
) -> Array:
    """Return a random array that fits a spec.

    Args:
        source: random number generator.
        spec: dtype and shape of the array.
        sizes: sizes of the dynamic dims by name.
        like: array of legal values: integers stay within its range, text is taken from it. Without
            it, integers are 0 or 1.

    Raises:
        FeedError: the array would be enormous.
    """
    dims = like.shape if spec.shape is None and like is not None else spec.shape or ()
    shape = tuple(sizes.get(dim, OTHER_SIZE) if isinstance(dim, str) else dim for dim in dims)
    if prod(shape) > MAX_ELEMENTS:
        raise FeedError(
            f"a random {spec.name!r} would have {prod(shape)} elements, expected at most "
            f"{MAX_ELEMENTS}."
        )
    return _fill(source, spec, prod(shape), like).reshape(shape)


def _fill(source: Random, spec: TensorSpec, count: int, like: Array | None) -> Array:
    known = None if like is None or not like.size else like.reshape(-1)
    if spec.dtype == "str":
        words = np.array(["text"], dtype=object) if known is None else known
        return np.asarray(words[_below(source, len(words), count)], dtype=object)
    dtype = np.dtype(spec.numpy_dtype)
    if dtype.kind == "b":
        return _below(source, 2, count).astype(dtype)
    if dtype.kind in "iu":
        low, high = (0, 1) if known is None else (int(known.min()), int(known.max()))
        offsets = _below(source, min(high - low + 1, 2**53), count)
        return (offsets.astype(object) + low).astype(dtype)
    return _normal(source, count).astype(dtype)


def _below(source: Random, end: int, count: int) -> Array:
    """Return integers from 0 to ``end`` - 1."""
    return (_uniform(source, count) * end).astype(np.int64)


def _normal(source: Random, count: int) -> Array:
    """Return normally distributed numbers, by the Box-Muller transform."""
    radius = np.sqrt(-2 * np.log1p(-_uniform(source, count)))
    return np.asarray(radius * np.cos(2 * np.pi * _uniform(source, count)))


def _uniform(source: Random, count: int) -> Array:
    """Return numbers from 0 up to, but not including, 1."""
    return np.frombuffer(source.randbytes(4 * count), np.uint32) / 2**32
