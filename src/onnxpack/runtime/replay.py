"""Replaying golden data: does the model answer here as its framework did there?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from onnxpack.comparison.detections import compare_all
from onnxpack.comparison.elements import Noise
from onnxpack.comparison.tolerance import OutputEvidence
from onnxpack.errors import OnnxpackError, PackError
from onnxpack.pack.model import GoldenSet, Pack
from onnxpack.pack.tensor import read_tensor
from onnxpack.report import Finding, Report, error, ok, report, warning
from onnxpack.signature import Array, Signature, TensorSpec

Run: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]


def prove(run: Run, pack: Pack, signature: Signature) -> Report:
    """Replay every golden set of a pack.

    Args:
        run: predicts, from arrays by name to arrays by name.
        pack: whose golden data, tolerance and allowed noise are used.
        signature: gives tensors without a name the name of their place.

    Returns:
        A finding for each set and output. A set that cannot be read or run is an error; a pack
        without golden data is a warning, never ok.
    """
    if not pack.golden:
        return report([warning(pack.name, "no golden data: nothing was proven")])
    return report(
        finding for golden in pack.golden for finding in _replay(run, pack, signature, golden)
    )


def _replay(run: Run, pack: Pack, signature: Signature, golden: GoldenSet) -> Iterator[Finding]:
    try:
        feed = _read(golden.inputs, signature.inputs, f"{golden.name}: inputs")
        expected = _read(golden.outputs, signature.outputs, f"{golden.name}: outputs")
        _all_there(golden, expected, signature)
        actual = run(feed)
    except OnnxpackError as exc:
        yield error(golden.name, exc.message, exc.remedy)
        return
    noise, sets = _noise(pack, golden), pack.unordered
    for evidence in compare_all(expected, actual, pack.tolerance, unordered=sets, noise=noise):
        yield _finding(golden, evidence)


def _read(paths: tuple[Path, ...], specs: tuple[TensorSpec, ...], what: str) -> dict[str, Array]:
    """The arrays of one side of a set; where the names are not the graph's, by their place."""
    tensors = [read_tensor(path) for path in paths]
    names = [spec.name for spec in specs]
    given = [name for name, _ in tensors]
    if len(tensors) > len(names):
        raise PackError(f"{what} are {len(tensors)} tensors, the graph has {len(names)}.")
    if len(set(given)) < len(given) or not set(given) <= set(names):
        given = names[: len(given)]
    return {name: array for name, (_, array) in zip(given, tensors, strict=True)}


def _all_there(golden: GoldenSet, expected: Mapping[str, Array], signature: Signature) -> None:
    absent = [spec.name for spec in signature.outputs if spec.name not in expected]
    if absent:
        raise PackError(
            f"{golden.name} holds no golden data for {', '.join(absent)}: that is not proven."
        )


def _noise(pack: Pack, golden: GoldenSet) -> dict[str, Noise]:
    cases = pack.manifest.parity.cases if pack.manifest else ()
    return {
        output.output: Noise(recorded=output.noise)
        for case in cases
        if case.golden == golden.name
        for output in case.outputs
        if output.noise > 0
    }


def _finding(golden: GoldenSet, evidence: OutputEvidence) -> Finding:
    subject = f"{golden.name}/{evidence.output}"
    if not evidence.passed:
        return error(subject, evidence.reason)
    noise = f", {evidence.noise:.3g} as noise" if evidence.noise else ""
    return ok(subject, f"equal: {evidence.measured}{noise}")
