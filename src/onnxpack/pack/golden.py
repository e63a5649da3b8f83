"""Check golden data against a signature."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onnxpack.errors import PackError
from onnxpack.pack.model import GoldenSet
from onnxpack.pack.tensor import read_tensor
from onnxpack.report import Finding, error
from onnxpack.signature import Signature, TensorSpec, describe, dtype_name

ENOUGH = 2
"""Different values that an output must have."""
SEARCHED = 4096
"""Most elements of an output that are searched for different values."""


def check_golden(
    golden: Iterable[GoldenSet], signature: Signature, *, named: bool
) -> Iterator[Finding]:
    """Yield a finding for each way in which golden data does not fit a signature.

    Args:
        golden: the golden sets.
        signature: inputs and outputs of the graph.
        named: whether the names of tensors must match; those of the model zoo often differ.
    """
    for data in golden:
        # One set is one call: equal names mean equal sizes, in inputs and outputs.
        dims: dict[str, int] = {}
        for side, files, specs in (
            ("inputs", data.inputs, signature.inputs),
            ("outputs", data.outputs, signature.outputs),
        ):
            if len(files) != len(specs):
                message = f"it has {len(files)} {side}, expected {len(specs)}."
                yield error(data.name, message)
            yield from _check_side(data.name, files, specs, dims, named=named)


def sizes_of(data: GoldenSet, signature: Signature) -> dict[str, int]:
    """Return the size of each named dim in a golden set that fits the signature.

    Raises:
        PackError: a file is not a tensor.
    """
    sizes: dict[str, int] = {}
    for files, specs in ((data.inputs, signature.inputs), (data.outputs, signature.outputs)):
        for path, spec in zip(files, specs, strict=False):
            spec.fits(read_tensor(path)[1].shape, sizes)
    return sizes


def why_no_proof(golden: Sequence[GoldenSet]) -> str:
    """Return why golden data cannot show that a graph is right; empty if it can.

    A graph that answers nothing, NaN, or the same to everybody would reproduce such data.

    Raises:
        PackError: a file is not a tensor.
    """
    if not golden:
        return "there is no golden data"
    values: dict[str, set[Any]] = {}
    count, finite = 0, False
    for data in golden:
        for path in data.outputs:
            _, array = read_tensor(path)
            count += array.size
            finite = finite or array.dtype.kind not in "fc" or bool(np.isfinite(array).any())
            different = values.setdefault(path.name, set())
            if len(different) < ENOUGH:
                different.update(array.reshape(-1)[:SEARCHED].astype(str).tolist())
    if not count:
        return "its golden data has no rows"
    if not finite:
        return "its golden data holds no finite number"
    if count > 1 and all(len(different) < ENOUGH for different in values.values()):
        return "its golden data holds one and the same answer everywhere"
    return ""


def _check_side(
    set_name: str,
    files: Sequence[Path],
    specs: Sequence[TensorSpec],
    dims: dict[str, int],
    *,
    named: bool,
) -> Iterator[Finding]:
    for path, spec in zip(files, specs, strict=False):
        subject = f"{set_name}/{path.name}"
        try:
            name, array = read_tensor(path)
        except PackError as exc:
            yield error(subject, exc.message, exc.remedy)
            continue
        if named and name != spec.name:
            yield error(subject, f"it contains {name!r}, expected {spec.name!r}.")
        known = dict(dims)
        dtype = dtype_name(array.dtype)
        if dtype != spec.dtype or not spec.fits(array.shape, dims):
            sizes = ", ".join(f"{dim} = {known[dim]}" for dim in spec.shape or () if dim in known)
            yield error(
                subject,
                f"it is {describe(dtype, array.shape)}, expected {spec}"
                + (f" where {sizes}." if sizes else "."),
            )
