"""Make inputs of any size from the pack's own golden data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from onnxpack.errors import UsageError
from onnxpack.signature import Array, Dim, Signature

BATCH = "batch"
MAX_BYTES = 2**31
"""Most bytes of the inputs of one size."""


def sizes_asked(
    signature: Signature,
    golden: Mapping[str, Array],
    asked: Mapping[str, Sequence[int]],
) -> list[dict[str, int]]:
    """Return every combination of the requested sizes; other dims are as in the golden data.

    Args:
        signature: signature of the pack.
        golden: inputs of a golden set.
        asked: sizes by the name of a dynamic dim; ``batch`` is 1 if it is not given.

    Raises:
        UsageError: the pack does not have such a dim, or a size is not positive.
    """
    own = dims_of(signature, golden)
    for name, sizes in asked.items():
        if name not in own:
            known = ", ".join(own) or "none"
            raise UsageError(
                f"{name!r} is not a dynamic dim of this pack; its dynamic dims are: {known}."
            )
        if not sizes or min(sizes) < 1:
            raise UsageError(f"the sizes of {name!r} are {list(sizes)}, expected at least 1.")
    own |= {BATCH: 1} if BATCH in own else {}
    choices = [asked.get(name, (size,)) for name, size in own.items()]
    return [dict(zip(own, chosen, strict=True)) for chosen in product(*choices)]


def dims_of(signature: Signature, arrays: Mapping[str, Array]) -> dict[str, int]:
    """Return the size of each dynamic dim in arrays that fit the signature."""
    dims: dict[str, int] = {}
    for spec in signature.inputs:
        for dim, size in zip(spec.shape or (), arrays[spec.name].shape, strict=False):
            if isinstance(dim, str):
                dims.setdefault(dim, size)
    return dims


def resize(
    signature: Signature, arrays: Mapping[str, Array], dims: Mapping[str, int]
) -> dict[str, Array]:
    """Return the arrays with each dynamic dim at a new size, repeated or cut.

    Values are unchanged, so indices stay legal.

    Raises:
        UsageError: the arrays would take more than 2 GiB.
    """
    shapes = {spec.name: _shape(spec.shape, arrays[spec.name], dims) for spec in signature.inputs}
    total = sum(
        int(np.prod(shape, dtype=object)) * arrays[name].itemsize for name, shape in shapes.items()
    )
    if total > MAX_BYTES:
        raise UsageError(f"inputs with {dims} take {total} bytes, expected at most {MAX_BYTES}.")
    return {name: _tile(arrays[name], shape) for name, shape in shapes.items()}


def _shape(spec: Sequence[Dim] | None, array: Array, dims: Mapping[str, int]) -> tuple[int, ...]:
    if spec is None:
        return array.shape
    return tuple(dims[dim] if isinstance(dim, str) else dim for dim in spec)


def _tile(array: Array, shape: tuple[int, ...]) -> Array:
    for axis, size in enumerate(shape):
        if array.shape[axis] == 0:
            raise UsageError("the golden data is empty, so no inputs can be made from it.")
        array = np.take(array, np.arange(size) % array.shape[axis], axis=axis)
    return np.ascontiguousarray(array)
