"""Validate the evidence of a pack against its golden data; what can be recomputed is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from onnxpack.comparison.detections import check_sets
from onnxpack.comparison.elements import NOISE_CEILING
from onnxpack.comparison.tolerance import OutputEvidence, Tolerance
from onnxpack.errors import PackError, UsageError
from onnxpack.pack.golden import sizes_of
from onnxpack.pack.manifest import CaseEvidence, Manifest, Parity
from onnxpack.pack.model import GoldenSet, Pack
from onnxpack.pack.tensor import read_tensor
from onnxpack.report import Finding, error, warning
from onnxpack.signature import Signature

MAX_SIZE = 2**31 - 1
"""Largest size of an axis that is possible."""
FAR = 1e4
"""Factor by which cases go beyond the magnitude of the sample; their data may be left out."""


def check_evidence(pack: Pack, manifest: Manifest) -> Iterator[Finding]:
    """Yield a finding for each part of the evidence that is missing, failed or impossible."""
    parity = manifest.parity
    if not any(case.passed and not case.accepted for case in parity.cases):
        yield error("evidence", "no case passed the comparison with the framework.")
    yield from _golden_names(pack, parity)
    outputs = [spec.name for spec in manifest.signature.outputs]
    yield from _sets(parity, outputs)
    golden = {each.name: each for each in pack.golden}
    largest = _largest(pack)
    for case in parity.cases:
        if [found.output for found in case.outputs] != outputs:
            yield error(
                "evidence", f"case {case.name!r} does not compare each output exactly once."
            )
        for found in case.outputs:
            if not found.passed:
                yield _failed(case, found)
            elif not _possible(found, largest.get(found.output), parity.tolerance):
                yield error(
                    "evidence",
                    f"case {case.name!r} says that {found.output!r} passed with a difference of "
                    f"{found.max_abs:.3g}, which its tolerance does not allow.",
                )
        if case.golden in golden:
            yield from _check_sizes(case, golden[case.golden], manifest.signature)


def check_dims(signature: Signature) -> Iterator[Finding]:
    """Yield an error for each size in a signature that no array has."""
    for spec in (*signature.inputs, *signature.outputs):
        for dim in spec.shape or ():
            if isinstance(dim, int) and not 0 <= dim <= MAX_SIZE:
                yield error("signature", f"{spec.name!r} has an axis of size {dim}.")


def _golden_names(pack: Pack, parity: Parity) -> Iterator[Finding]:
    present = {golden.name for golden in pack.golden}
    named = [case.golden for case in parity.cases if case.golden is not None]
    for name in sorted(set(named) - present):
        yield error("evidence", f"it names {name}, which is not in the pack.")
    for name in sorted(present - set(named)):
        yield error("evidence", f"no case records the result of {name}.")
    for name in sorted({name for name in named if named.count(name) > 1}):
        yield error("evidence", f"more than one case names {name}.")


def _sets(parity: Parity, outputs: Sequence[str]) -> Iterator[Finding]:
    """Yield an error if the unordered groups do not name each output at most once."""
    try:
        check_sets(parity.unordered, outputs)
    except UsageError as exc:
        yield error("evidence", exc.message)


def _failed(case: CaseEvidence, found: OutputEvidence) -> Finding:
    difference = f"{found.output} {found.reason}"
    if case.accepted:
        return warning("evidence", f"case {case.name!r} differs, which was accepted: {difference}")
    return error("evidence", f"case {case.name!r} failed: {difference}")


def _check_sizes(case: CaseEvidence, data: GoldenSet, signature: Signature) -> Iterator[Finding]:
    """Yield an error where the sizes of a case are not those of its golden data."""
    try:
        sizes = sizes_of(data, signature)
    except PackError:
        return  # the check of the golden data reports it
    for dim, size in case.dims.items():
        if sizes.get(dim, size) != size or not 0 <= size <= MAX_SIZE:
            found = f"{dim} = {size}, {data.name} has {sizes.get(dim, 'no such dim')}"
            yield error("evidence", f"case {case.name!r} says {found}.")


def _largest(pack: Pack) -> dict[str, float]:
    """Return the largest magnitude of each output with real numbers, over the golden data."""
    found: dict[str, float] = {}
    for data in pack.golden:
        for path in data.outputs:
            try:
                name, array = read_tensor(path)
            except PackError:
                continue  # the check of the golden data reports it
            if array.dtype.kind in "fc":
                magnitude = np.abs(array[np.isfinite(array)]).max(initial=0.0)
                found[name] = max(float(magnitude), found.get(name, 0.0))
    return found


def _possible(found: OutputEvidence, largest: float | None, tolerance: Tolerance) -> bool:
    """Return whether an output can have passed with the difference that is recorded."""
    numbers = (found.max_abs, found.max_rel, found.error, found.allowed, found.noise)
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        return False
    if found.error > found.allowed > 0:
        return False
    share = tolerance.rtol + max(tolerance.atol, NOISE_CEILING)
    return not largest or found.max_abs <= share * FAR * largest
