"""Replay golden data: compare the model's answers here with the framework's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from onnxpack.comparison.detections import compare_all
from onnxpack.comparison.distance import distance, same_labels
from onnxpack.comparison.elements import Noise
from onnxpack.comparison.tolerance import OutputEvidence
from onnxpack.errors import OnnxpackError, PackError, UsageError
from onnxpack.pack.golden import why_no_proof
from onnxpack.pack.manifest import Distance
from onnxpack.pack.model import GoldenSet, Pack, VariantFiles
from onnxpack.pack.tensor import read_tensor
from onnxpack.report import Finding, Level, Report, error, ok, report, warning
from onnxpack.signature import Array, Signature, TensorSpec

ROOM = 1.5
"""Factor by which a recorded distance may grow.

A kernel that rounds differently moves a row by one step of its scale, which stays below this
factor. Int8 arithmetic that saturates, as without VNNI, moves it by ten times the recorded
distance.
"""
LEAST = 1e-6
"""Allowed distance in addition: a multiple of a distance near 0 leaves no room."""

Run: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]


class Example(NamedTuple):
    """The arrays of a golden set, by the names of the signature."""

    golden: GoldenSet
    feed: dict[str, Array]
    expected: dict[str, Array]


def prove(run: Run, pack: Pack, signature: Signature, variant: str | None = None) -> Report:
    """Replay all the evidence of a pack's graph.

    Args:
        run: function that predicts, from arrays by name to arrays by name.
        pack: pack with the golden data, the tolerance and the allowed noise.
        signature: names and order of inputs and outputs, for tensors without a name.
        variant: name of the variant that runs; None for the base.

    Returns:
        A finding for each set and output. A set that cannot be read or run is an error. Golden
        data that any graph could reproduce is a warning; see ``proves``.
    """
    if variant is not None and not pack.variants[variant].entry.exact:
        return report(replay_variant(run, pack.variants[variant], signature))
    found = report(
        finding for golden in pack.golden for finding in _replay(run, pack, signature, golden)
    )
    reason = why_no_proof(pack.golden) if found.ok else ""
    if not reason:
        return found
    return found + report([warning(pack.name, f"{reason}: nothing was proven")])


def proves(replayed: Report) -> bool:
    """Return whether the report of ``prove`` shows that the graph is right: it only says ok."""
    return bool(replayed.findings) and all(each.level is Level.OK for each in replayed.findings)


def replay_variant(run: Run, variant: VariantFiles, signature: Signature) -> Iterator[Finding]:
    """Replay the golden sets of a variant that gives up some accuracy.

    Returns:
        A finding for each set and output: ok if the distance is at most ``ROOM`` times the recorded
        one and no fewer labels agree. A missing set is an error.
    """
    present = {golden.name for golden in variant.golden}
    for name in sorted({each.golden for each in variant.entry.evidence} - present):
        yield error(name, "pack.json names it as evidence, but it is not in the variant's folder.")
    for golden in variant.golden:
        try:
            example = read_example(golden, signature)
            actual = run(example.feed)
        except OnnxpackError as exc:
            yield error(golden.name, exc.message, exc.remedy)
            continue
        recorded = {
            each.output: each for each in variant.entry.evidence if each.golden == golden.name
        }
        for name, expected in example.expected.items():
            yield _near(f"{golden.name}/{name}", expected, actual[name], recorded.get(name))


def replay_example(run: Run, pack: Pack, example: Example) -> Iterator[Finding]:
    """Replay one golden set of a pack within its tolerance, with a finding for each output."""
    try:
        actual = run(example.feed)
    except OnnxpackError as exc:
        yield error(example.golden.name, exc.message, exc.remedy)
        return
    noise, sets = _noise(pack, example.golden), pack.unordered
    for evidence in compare_all(
        example.expected, actual, pack.tolerance, unordered=sets, noise=noise
    ):
        yield _finding(example.golden, evidence)


def example_inputs(pack: Pack, signature: Signature) -> dict[str, Array]:
    """Return the inputs of the first golden set, by name.

    Raises:
        UsageError: the pack has no golden data.
        PackError: the golden data cannot be read.
    """
    if not pack.golden:
        raise UsageError(
            f"{pack.path} has no golden data to make inputs from.",
            remedy=f"onnxpack export {pack.path} --sample SPEC -o DIR",
        )
    return read_example(pack.golden[0], signature).feed


def read_example(golden: GoldenSet, signature: Signature) -> Example:
    """Read the arrays of a golden set.

    Raises:
        PackError: a file is not a tensor, or the set does not fit the signature.
    """
    feed = _read(golden.inputs, signature.inputs, f"{golden.name}: inputs")
    expected = _read(golden.outputs, signature.outputs, f"{golden.name}: outputs")
    _all_there(golden, expected, signature)
    return Example(golden, feed, expected)


def _replay(run: Run, pack: Pack, signature: Signature, golden: GoldenSet) -> Iterator[Finding]:
    try:
        example = read_example(golden, signature)
    except OnnxpackError as exc:
        yield error(golden.name, exc.message, exc.remedy)
        return
    yield from replay_example(run, pack, example)


def _near(subject: str, expected: Array, actual: Array, recorded: Distance | None) -> Finding:
    if recorded is None:
        return error(subject, "pack.json records no distance for it.")
    found, labels = distance(expected, actual), same_labels(expected, actual)
    allowed = ROOM * recorded.distance + LEAST
    if not found <= allowed:
        return error(
            subject,
            f"its distance from the original's answer is {found:.3g}, expected at most "
            f"{allowed:.3g}: {recorded.distance:.3g} was recorded where the variant was made.",
        )
    if labels < recorded.labels:
        return error(
            subject,
            f"{labels} rows have the original's label, expected at least {recorded.labels}, as "
            "where the variant was made.",
        )
    told = f", {labels} labels the same, {recorded.labels} recorded" if recorded.labels else ""
    return ok(subject, f"distance {found:.3g}, {recorded.distance:.3g} recorded{told}")


def _read(paths: tuple[Path, ...], specs: tuple[TensorSpec, ...], what: str) -> dict[str, Array]:
    """Return the arrays of one side of a set, matched by position if their names differ."""
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
