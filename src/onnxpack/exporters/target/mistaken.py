"""Recognise things given as a sample by mistake: a shape, a batch with targets, meta tensors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from onnxpack.errors import SampleError
from onnxpack.parity.subject import Cause

MADE_UP = "sample = numpy.random.default_rng(0).normal(size={}).astype('float32')"

TAKES_ALL = ("in axis ", "is declared dynamic")
"""Texts of errors that occur only after each array of the sample became an input."""


@contextmanager
def mistakes_named(sample: Any) -> Iterator[None]:
    """Add to a SampleError what the sample seems to be.

    A tuple of integers can be two inputs, and a list of two arrays one input that is a list. So
    this is added only after the sample was refused.

    Raises:
        SampleError: the sample was refused, or is a tensor on the meta device.
    """
    _refuse_meta(sample)
    try:
        yield
    except SampleError as exc:
        found = _mistake(sample, exc.message)
        if found is None:
            raise
        message = f"{exc.message}\n  possible cause: {found.reason}"
        raise SampleError(message, remedy=found.remedy) from exc


def _refuse_meta(sample: Any) -> None:
    """Raise an error for tensors on the meta device, which have a shape and no numbers."""
    for each in _shallow(sample):
        if str(getattr(each, "device", "")) == "meta":
            raise SampleError(
                "the sample is a tensor on the meta device, which has a shape but no values.",
                remedy=f"sample = torch.rand({tuple(each.shape)})"
                if each is sample
                else f"replace this tensor with torch.rand({tuple(each.shape)})",
            )


def _mistake(sample: Any, refusal: str) -> Cause | None:
    shape = _shape(sample)
    if shape:
        return Cause(f"the sample {sample!r} is a shape, not an array", MADE_UP.format(shape))
    if hasattr(sample, "dataset") and hasattr(sample, "__iter__"):
        return Cause(
            f"the sample is a {type(sample).__name__}, which gives batches of inputs",
            "sample = next(iter(sample))[0]",
        )
    arrays = isinstance(sample, list | tuple) and [_is_array(part) for part in sample]
    takes_all = any(words in refusal for words in TAKES_ALL)  # then no array is the target
    if arrays and len(arrays) > 1 and all(arrays) and not takes_all:
        shapes = " and ".join(str(tuple(part.shape)) for part in sample)
        return Cause(
            f"the sample is a {type(sample).__name__} of arrays of the shapes {shapes}, as a "
            "DataLoader gives inputs together with their targets",
            "sample = sample[0]",
        )
    doubles = any(str(getattr(each, "dtype", "")) == "float64" for each in _shallow(sample))
    if doubles and any(word in refusal for word in ("Double", "double")):
        return Cause(
            "the sample is float64, NumPy's default for Python numbers, but the model is float32",
            "sample = sample.astype('float32')"
            if hasattr(sample, "astype")
            else "make every array float32: array.astype('float32')",
        )
    return None


def _shape(sample: Any) -> tuple[int, ...] | None:
    """Return the shape that was given in place of a sample: (1, 64), [1, 64] or "1x64"."""
    if isinstance(sample, str) and re.fullmatch(r"\d+(x\d+)*", sample):
        return tuple(map(int, sample.split("x")))
    listed = isinstance(sample, list | tuple) and all(type(size) is int for size in sample)
    return tuple(sample) if listed and sample else None


def _is_array(part: Any) -> bool:
    """Return whether a part of a sample is an array, and not a NumPy scalar."""
    return bool(getattr(part, "shape", ()))


def _shallow(sample: Any) -> list[Any]:
    """Return the sample and its direct elements."""
    if isinstance(sample, Mapping):
        return [sample, *sample.values()]
    return [sample, *sample] if isinstance(sample, list | tuple) else [sample]
