"""Convert a caller's inputs to onnxruntime's feed, in well under a microsecond.

onnxruntime checks dtypes, ranks and fixed sizes itself, so these are checked here only to give a
clear error. What it does not check is always checked here: it reads an array of foreign byte order
as if it were native, accepts any shape for a scalar, converts any object to a string, and ignores
that two axes share a name. OpenVINO checks less, so for it everything is checked here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from onnxpack.runtime.frames import is_frame, read_frame, unpack
from onnxpack.signature import Array, Signature


class Feeder:
    """Makes feeds for one signature; it holds no state between calls.

    Args:
        signature: signature of the graph.
        at_least_one: names of dims that must not be 0; an empty input raises an error.
        careful: whether to check every feed completely, for a runtime that does not.
    """

    __slots__ = (
        "_at_least_one", "_careful", "_count", "_dtypes", "_names", "_scalars", "_shared",
        "signature",
    )  # fmt: skip

    def __init__(
        self,
        signature: Signature,
        *,
        at_least_one: Collection[str] = (),
        careful: bool = False,
    ) -> None:
        inputs = signature.inputs
        self.signature = signature
        self._at_least_one = at_least_one
        self._names = tuple(spec.name for spec in inputs)
        self._count = len(inputs)
        self._careful = careful or any(spec.dtype == "str" for spec in inputs)
        self._dtypes = tuple((spec.name, np.dtype(spec.numpy_dtype)) for spec in inputs)
        self._scalars = tuple(spec.name for spec in inputs if spec.shape == ())
        self._shared = _shared_axes(signature)

    def __call__(self, args: Sequence[Any], named: Mapping[str, Any]) -> Mapping[str, Array]:
        """Return an array for each input, by name.

        Raises:
            FeedError: an input is missing, unknown, given twice, or does not fit.
        """
        feed = named if not args else dict(zip(self._names, args, strict=False))
        if len(args) + len(named) != self._count or (args and named) or self._careful:
            return self.bind(args, named)
        for name, dtype in self._dtypes:
            value = feed.get(name)
            if type(value) is not np.ndarray or value.dtype != dtype or not value.size:
                return self.bind(args, named)
        if (self._shared or self._scalars) and not self._fits(feed):
            return self.bind(args, named)
        return feed

    def bind(self, args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Array]:
        """Return an array for each input after checking everything, with a clear error message.

        A single mapping or data frame stands for all inputs by name.

        Raises:
            FeedError: an input is missing, unknown, given twice, does not fit, or is empty although
                only non-empty inputs were proven.
        """
        if is_frame(named):
            named = read_frame(named, self.signature)
        elif len(args) == 1 and not named:
            unpacked = unpack(args[0], self.signature)
            args, named = (args, named) if unpacked is None else ((), unpacked)
        arrays = self.signature.bind(args, named)
        self.signature.refuse_empty(arrays, self._at_least_one)
        return arrays

    def _fits(self, feed: Mapping[str, Array]) -> bool:
        """Return whether scalars have no axes, and axes of one name have one size."""
        try:
            for first, axis, other, other_axis in self._shared:
                if feed[first].shape[axis] != feed[other].shape[other_axis]:
                    return False
        except IndexError:
            return False
        return all(feed[name].ndim == 0 for name in self._scalars)


def _shared_axes(signature: Signature) -> tuple[tuple[str, int, str, int], ...]:
    """Return pairs of axes that share a name."""
    seen: dict[str, tuple[str, int]] = {}
    pairs = []
    for spec in signature.inputs:
        for axis, dim in enumerate(spec.shape or ()):
            if not isinstance(dim, str):
                continue
            if dim in seen:
                pairs.append((*seen[dim], spec.name, axis))
            else:
                seen[dim] = (spec.name, axis)
    return tuple(pairs)
