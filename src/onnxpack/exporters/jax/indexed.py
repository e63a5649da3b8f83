"""Read and write at computed indices, with every index in range.

JAX clamps an index that is out of range, or fills in a value. ONNX counts a negative index from the
end and refuses the others. After jnp has counted a negative index from the end once, ONNX would do
so again, and silently take another row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

INT32_MAX = 2**31 - 1


def gather(
    operand: Any,
    indices: Any,
    *,
    dimension_numbers: Any,
    slice_sizes: Sequence[Any],
    mode: Any,
    fill_value: Any,
    **promised: Any,
) -> Any:
    """Do ``lax.gather`` with a clamped index, and fill what is out of range if ``mode`` asks."""
    asked = {
        "slice_sizes": slice_sizes,
        "mode": lax.GatherScatterMode.PROMISE_IN_BOUNDS,
        "unique_indices": promised.get("unique_indices", False),
        "indices_are_sorted": promised.get("indices_are_sorted", False),
    }
    places = dimension_numbers.start_index_map
    last = [operand.shape[place] - slice_sizes[place] for place in places]
    if _is_within(indices, last):
        return lax.gather(operand, indices, dimension_numbers, **asked)
    indices = _at_most_int32(indices)
    clamped = _clamped(indices, last)
    found = lax.gather(operand, *_free(clamped, last, dimension_numbers), **asked)
    if lax.GatherScatterMode.from_any(mode) != lax.GatherScatterMode.FILL_OR_DROP:
        return found
    inside = jnp.all(indices == clamped, axis=-1)
    batch = [axis for axis in range(found.ndim) if axis not in dimension_numbers.offset_dims]
    inside = lax.broadcast_in_dim(inside, found.shape, batch)
    return lax.select(inside, found, lax.full_like(found, _filling(fill_value, found.dtype)))


def _free(indices: Any, last: Sequence[Any], numbers: Any) -> tuple[Any, Any]:
    """Return the index without columns that can only be 0, which jax2onnx 0.17 misreads."""
    free = [column for column, most in enumerate(last) if not isinstance(most, int) or most]
    if not free or len(free) == len(last):
        return indices, numbers
    columns = [lax.slice_in_dim(indices, column, column + 1, axis=-1) for column in free]
    places = tuple(numbers.start_index_map[column] for column in free)
    return lax.concatenate(columns, indices.ndim - 1), numbers._replace(start_index_map=places)


def scatter(primitive: Any) -> Callable[..., Any]:
    """Return ``lax.scatter`` or a variant with clamped indices.

    jax2onnx 0.17 respects an index out of range in one mode only.
    """

    def call(operand: Any, indices: Any, updates: Any, *, mode: Any, **parameters: Any) -> Any:
        if lax.GatherScatterMode.from_any(mode) == lax.GatherScatterMode.CLIP:
            indices = _at_most_int32(indices)
            last = _last_written(operand, updates, parameters["dimension_numbers"])
            indices = _clamped(indices, last)
        dropping = lax.GatherScatterMode.FILL_OR_DROP  # as XLA does if in range is promised
        return primitive.bind(operand, indices, updates, mode=dropping, **parameters)

    return call


def _last_written(operand: Any, updates: Any, numbers: Any) -> list[Any]:
    """Return the last index at which an update lies within the operand, for each index column."""
    single = {*numbers.inserted_window_dims, *numbers.operand_batching_dims}
    windows = iter(numbers.update_window_dims)
    sizes = [1 if axis in single else updates.shape[next(windows)] for axis in range(operand.ndim)]
    places = numbers.scatter_dims_to_operand_dims
    return [operand.shape[place] - sizes[place] for place in places]


def dynamic_slice(operand: Any, *starts: Any, slice_sizes: Sequence[Any], **_: Any) -> Any:
    """Do ``lax.dynamic_slice``, which moves the slice until it is within the array."""
    return lax.dynamic_slice_p.bind(
        operand, *_moved(operand, starts, slice_sizes), slice_sizes=tuple(slice_sizes)
    )


def dynamic_update_slice(operand: Any, update: Any, *starts: Any, **_: Any) -> Any:
    """Do ``lax.dynamic_update_slice``, which moves the slice until it is within the array."""
    return lax.dynamic_update_slice_p.bind(operand, update, *_moved(operand, starts, update.shape))


def _moved(operand: Any, starts: Sequence[Any], sizes: Sequence[Any]) -> list[Any]:
    return [
        _moved_along(start, whole - size)
        for start, whole, size in zip(starts, operand.shape, sizes, strict=True)
    ]


def _moved_along(start: Any, last: Any) -> Any:
    if _is_within(start, [last]):
        return start
    start = _at_most_int32(start)
    return jnp.minimum(jnp.maximum(start, 0), jnp.asarray(last, start.dtype))


def _is_within(indices: Any, last: Sequence[Any]) -> bool:
    """Return whether the index is constant and in range; a size that varies is at least 1."""
    if not isinstance(indices, np.ndarray):
        return False
    known = [place if isinstance(place, int) else 0 for place in last]
    return bool(np.all(indices >= 0) and np.all(indices <= np.array(known)))


def _at_most_int32(indices: Any) -> Any:
    """Return the index as signed integers of at least 32 bits, so that every size fits."""
    if indices.dtype.itemsize >= 4:
        if indices.dtype.kind == "i":
            return indices
        indices = jnp.minimum(indices, INT32_MAX)
    return lax.convert_element_type(indices, np.int32)


def _clamped(indices: Any, last: Sequence[Any]) -> Any:
    return jnp.minimum(jnp.maximum(indices, 0), _row(last, indices.dtype))


def _row(sizes: Sequence[Any], dtype: Any) -> Any:
    if all(isinstance(size, int) for size in sizes):
        return np.array(sizes, dtype)
    return jnp.stack([jnp.asarray(size, dtype) for size in sizes])


def _filling(value: Any, dtype: Any) -> Any:
    """Return JAX's default filling: NaN, True, or the least or greatest integer."""
    if value is not None:
        return value
    if jnp.issubdtype(dtype, jnp.inexact):
        return np.nan
    if dtype == np.bool_:
        return True
    limits = jnp.iinfo(dtype)
    return limits.min if jnp.issubdtype(dtype, jnp.signedinteger) else limits.max
