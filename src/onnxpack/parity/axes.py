"""Decide which axes are dynamic, and name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from onnxpack.errors import SampleError, UsageError
from onnxpack.parity.cases import BATCH, Axes
from onnxpack.signature import Array

Dynamic: TypeAlias = Mapping[str, Mapping[int, str] | Sequence[str]]
"""Names of axes for each input: ``{"ids": {1: "tokens"}}`` or ``{"ids": ["batch", "tokens"]}``."""


def name_axes(sample: Mapping[str, Array], dynamic: Dynamic | None, *, static: bool) -> Axes:
    """Return the dynamic axes of every input: the first, named ``batch``, and those in ``dynamic``.

    Args:
        static: leave the first axis fixed unless it was named.

    Raises:
        SampleError: an input or axis does not exist, or axes of one name have different sizes.
        UsageError: ``dynamic`` does not name inputs.
    """
    if not isinstance(dynamic, Mapping | None):
        raise UsageError(
            f"dynamic is a {type(dynamic).__name__}, expected a dict of axes for each input.",
            remedy=f'dynamic={{"{next(iter(sample))}": {{1: "tokens"}}}}',
        )
    named = {name: _as_mapping(axes) for name, axes in (dynamic or {}).items()}
    unknown = sorted(named.keys() - sample.keys())
    if unknown:
        raise SampleError(
            f"dynamic names the input {unknown[0]!r}, which does not exist; inputs: "
            f"{', '.join(sample)}."
        )
    axes: dict[str, dict[int, str]] = {}
    for name, array in sample.items():
        first = {0: BATCH} if array.ndim and not static else {}
        axes[name] = first | _checked(name, array, named.get(name, {}))
    _check_equal_sizes(sample, axes)
    return axes


def _as_mapping(axes: Mapping[int, str] | Sequence[str]) -> dict[int, str]:
    return dict(axes) if isinstance(axes, Mapping) else dict(enumerate(axes))


def _checked(name: str, array: Array, axes: Mapping[int, str]) -> dict[int, str]:
    for axis, dim in axes.items():
        if not 0 <= axis < array.ndim:
            raise SampleError(
                f"input {name!r} has {array.ndim} axes, so it has no axis {axis} to name {dim!r}."
            )
        if not dim.isidentifier():
            raise SampleError(f"{dim!r} cannot name an axis: expected letters, digits and _.")
    return dict(axes)


def _check_equal_sizes(sample: Mapping[str, Array], axes: Axes) -> None:
    seen: dict[str, tuple[str, int, int]] = {}
    for name, named in axes.items():
        for axis, dim in named.items():
            size = sample[name].shape[axis]
            other, other_axis, expected = seen.setdefault(dim, (name, axis, size))
            if size == 0:
                raise SampleError(
                    f"axis {axis} of input {name!r} is empty, expected at least one value."
                )
            if size != expected:
                raise SampleError(
                    f"{dim!r} is {expected} in axis {other_axis} of {other!r}, but {size} in "
                    f"axis {axis} of {name!r}.",
                    remedy=f'name it: dynamic={{"{name}": {{{axis}: "other"}}}} '
                    f"(--dynamic {name}:{axis}=other), or fix every size with static=True "
                    "(--static)",
                )
