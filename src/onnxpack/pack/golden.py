"""Check golden data against a signature."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from onnxpack.errors import PackError
from onnxpack.pack.model import GoldenSet
from onnxpack.pack.tensor import read_tensor
from onnxpack.report import Finding, error
from onnxpack.signature import Signature, TensorSpec, describe, dtype_name


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
