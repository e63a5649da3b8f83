"""Export a model: from model and sample over candidate graphs and proof to a pack.

An exporter knows its framework but not the proof; :func:`export` enforces the proof and knows no
framework.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import onnx_ir as ir

from onnxpack.comparison.detections import as_sets
from onnxpack.comparison.elements import NOISE_CEILING
from onnxpack.comparison.scale import common
from onnxpack.comparison.tolerance import Tolerance
from onnxpack.errors import OnnxpackError, UsageError
from onnxpack.exporters.activations import write_exact_activations
from onnxpack.exporters.annotations import check_labels, check_preprocess
from onnxpack.exporters.choose import exporter_for
from onnxpack.exporters.empty import unproven_at_zero
from onnxpack.exporters.exclusive import exclusive
from onnxpack.exporters.finish import finish, graph_versions
from onnxpack.exporters.inferred_sizes import open_with_inferred_sizes, refuse_unopenable
from onnxpack.exporters.silence import SHOWN
from onnxpack.exporters.target.mistaken import mistakes_named
from onnxpack.pack.manifest import CaseEvidence, Manifest, Parity, Preprocess
from onnxpack.pack.model import Pack
from onnxpack.pack.name import check_name, name_after
from onnxpack.pack.write import GoldenData, check_destination, set_name, write_pack
from onnxpack.parity.ask import ask, ask_at, measure_signature
from onnxpack.parity.axes import Dynamic, name_axes
from onnxpack.parity.cases import Axes
from onnxpack.parity.doubts import doubts, doubts_of_infinities
from onnxpack.parity.fixed_axes import doubts_of_fixed_axes
from onnxpack.parity.locate import Divergence, locate
from onnxpack.parity.prove import Question, prove
from onnxpack.parity.refused import Limits, Refused, doubts_of_refused_sizes
from onnxpack.parity.subject import Attempt, Probes, Strategy, Subject
from onnxpack.parity.verdict import refusal
from onnxpack.signature import Signature

DEFAULT_OPSET = 18
"""The default opset, which all current serving runtimes support."""
EXACT = ", exact activations"
"""Suffix for the name of a strategy whose graph was rewritten by :mod:`.activations`."""
GOLDEN_BYTES = 64 * 2**20
"""Largest total size of golden data, which is kept case by case."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate graph with its evidence."""

    graph: Path
    signature: Signature
    strategy: str
    questions: tuple[Question, ...]
    evidence: tuple[CaseEvidence, ...]
    refused: tuple[Refused, ...]
    notes: Callable[[], Sequence[str]]
    limits: Callable[[], Limits]

    @property
    def holds(self) -> bool:
        """Whether every case passed or is accepted."""
        return all(case.passed or case.accepted for case in self.evidence)


@exclusive()
def export(
    model: Any,
    sample: Any = None,
    to: str | Path | None = None,
    *,
    dynamic: Dynamic | None = None,
    static: bool = False,
    opset: int = DEFAULT_OPSET,
    tolerance: Tolerance | None = None,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    accept: Collection[str] = (),
    unordered: Sequence[str] | Sequence[Sequence[str]] = (),
    name: str | None = None,
    version: str = "1",
    description: str = "",
    license: str = "",  # noqa: A002 - the manifest's word
    force: bool = False,
    verbose: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Pack:
    """Export a trained model to a pack whose answers are proven equal to the model's.

    Exports run one at a time: a call in another thread waits until this one has ended. The model
    and the settings of the process (random state, warnings filters, logging, the framework's
    defaults) are restored after the call, also if it fails. A thread that only predicts or prints
    is not disturbed.

    Args:
        model: a model of PyTorch (a module, also of Lightning or transformers, a ``torch.export``
            program, a TorchScript module), scikit-learn, XGBoost, LightGBM, CatBoost or Keras, a
            function or module of JAX, or the path of an ``.onnx`` file to adopt.
        sample: one input: a tensor, an array, a data frame, a tuple of positional inputs, or a dict
            of named ones. May be None if the model has a sample (Lightning's
            ``example_input_array``) or states its inputs (Keras, transformers, a file of a
            booster). In the latter case a sample is generated, and a note says so.
        to: the folder to write; by default named after the model.
        dynamic: dynamic axes in addition to the first, which is ``batch``:
            ``{"ids": {1: "tokens"}}``. None names the axes known from the kind of model, such as
            the tokens of transformers; ``{}`` names no further axis.
        static: fix every size that is not named in ``dynamic``.
        opset: the version of the ONNX operator set.
        tolerance: the differences up to which answers count as equal.
        labels: the name of each class, in the order of the output's last axis.
        preprocess: how an image is turned into the input.
        accept: cases at edges of the model, such as the thresholds of a tree, in which the graph
            may differ. The manifest records the differences. The error for a refused export lists
            the names of such cases.
        unordered: outputs whose rows have no order, such as ``("boxes", "scores")``, or several
            such groups. Not needed for detectors of torchvision.
        name: the name of the pack; by default taken from the folder.
        version: the version of the pack.
        description: one line for the model card.
        license: an SPDX expression for the weights.
        force: replace an existing pack at ``to``.
        verbose: show the output, log messages and warnings of the framework's own exporters. What
            their compiled code writes to standard error is shown in either case.
        progress: called with a line of text at the start of each phase, and with each note.

    Returns:
        The pack that was written.

    Raises:
        UsageError: the name or version is not valid for a pack, ``accept`` names a case that cannot
            be accepted, ``unordered`` something that is not an output, or ``labels`` or
            ``preprocess`` do not fit the model.
        TargetError: no exporter knows the model's framework.
        SampleError: the sample does not fit the model.
        NondeterministicError: the model answers differently to the same input.
        ExportError: no strategy gave a graph.
        ParityError: every graph answers differently from the model. No pack is written.
    """
    say = progress or _silent
    SHOWN.set(verbose)
    tolerance = tolerance or Tolerance()
    destination = Path(to) if to is not None else Path(type(model).__name__.lower())
    check_destination(destination, force=force)
    name = name or name_after(destination.name)
    check_name(name, version)
    with (
        mistakes_named(sample),
        exporter_for(model, sample).open(model, sample) as subject,
        TemporaryDirectory() as work,
    ):
        say("running the model")
        axes = subject.axes or name_axes(
            subject.sample,
            _dynamic(dynamic, subject, static=static),
            static=static or not subject.batched,
        )
        questions, skipped = ask(subject, axes, tolerance, as_sets(unordered))
        varies = not static and subject.axes is None and subject.batched and not subject.loops
        fixed = doubts_of_fixed_axes(subject, axes) if varies else ()
        notes = (*subject.notes, *doubts(questions, skipped), *fixed)
        for note in notes:
            say(note)
        signature = measure_signature(subject.sample, axes, questions)
        if labels is not None:
            check_labels(labels, signature)
        if preprocess is not None:
            check_preprocess(preprocess, signature)
        inquiry = _Inquiry(subject, axes, signature, questions, tolerance, frozenset(accept))
        _check_accepted(accept, inquiry.edges)
        outputs = [spec.name for spec in signature.outputs]
        proven = _climb(inquiry, subject.strategies(axes, opset, outputs), Path(work), say)
        golden, evidence = _choose_golden(proven)
        graph = ir.load(proven.graph)
        beyond = doubts_of_refused_sizes(
            proven.refused,
            skipped,
            [question.case.dims for question in proven.questions],
            proven.limits(),
        )
        further = (*proven.notes(), *beyond, *doubts_of_infinities(evidence))
        for note in further:
            say(note)
        say(f"proven by {proven.strategy}; writing the pack")
        manifest = Manifest(
            name=name,
            version=version,
            description=description,
            license=license,
            signature=proven.signature,
            source=graph_versions(graph, _origin(subject, proven)),
            parity=Parity(
                tolerance=tolerance,
                cases=evidence,
                skipped=(
                    *skipped,
                    *(each.case for each in proven.refused if each.case not in skipped),
                    *unproven_at_zero(graph, proven.signature),
                ),
                unordered=questions[0].unordered,
            ),
            labels=_labels(labels, subject),
            preprocess=preprocess,
            notes=(*notes, *further),
            files={},
        )
        return write_pack(destination, manifest, model=proven.graph, golden=golden, force=force)


@dataclass(frozen=True, slots=True)
class _Inquiry:
    """The model, its questions and the tolerance that every strategy is judged by."""

    subject: Subject
    axes: Axes
    signature: Signature
    questions: tuple[Question, ...]
    tolerance: Tolerance
    accepted: frozenset[str]

    @property
    def edges(self) -> frozenset[str]:
        """The names of the cases that were chosen at edges of the model."""
        return frozenset(each.case.name for each in self.questions if each.case.edge)

    def differs_far_away(self, evidence: Sequence[CaseEvidence]) -> bool:
        """Return whether a graph is wrong only in cases that are far from the sample."""
        far = {each.case.name for each in self.questions if each.case.stress}
        return {case.name for case in evidence if not (case.passed or case.accepted)} <= far

    def judge(self, case: CaseEvidence) -> CaseEvidence:
        """Return the evidence of a case; a failed case that the user accepts is marked."""
        return msgspec.structs.replace(
            case, accepted=case.name in self.accepted and not case.passed
        )


def _check_accepted(accept: Collection[str], edges: Collection[str]) -> None:
    for name in accept:
        if name not in edges:
            raise UsageError(
                f"{name!r} is not a case whose differences can be accepted; for this model "
                f"those are: {', '.join(sorted(edges)) or 'none'}."
            )


def _climb(
    inquiry: _Inquiry, strategies: Iterable[Strategy], work: Path, say: Callable[[str], None]
) -> Judged:
    """Try the strategies in order; return the first whose graph is proven."""
    attempts: list[Attempt] = []
    for rung, strategy in enumerate(strategies):
        say(f"trying {strategy.name}")
        folder = work / str(rung)
        folder.mkdir()
        outcome = _try(inquiry, strategy, folder, say)
        if isinstance(outcome, Judged):
            return outcome
        attempts.append(outcome)
    raise refusal(inquiry.subject, attempts, edges=inquiry.edges)


def _try(
    inquiry: _Inquiry, strategy: Strategy, folder: Path, say: Callable[[str], None]
) -> Judged | Attempt:
    candidate, exact = folder / "candidate.onnx", folder / "exact" / "candidate.onnx"
    try:
        probes = strategy.make(candidate)
    except OnnxpackError as exc:
        return Attempt(strategy.name, error=exc.message)
    judged = _judge(inquiry, strategy, candidate, probes, say)
    if isinstance(judged, Attempt) or judged.holds:
        return judged
    exact.parent.mkdir()
    if inquiry.differs_far_away(judged.evidence) and write_exact_activations(candidate, exact):
        further = replace(strategy, name=strategy.name + EXACT)
        again = _judge(inquiry, further, exact, probes, say)
        if isinstance(again, Judged) and again.holds:
            return again
    divergence = _locate(inquiry, judged)
    return Attempt(strategy.name, evidence=judged.evidence, divergence=divergence)


def _judge(
    inquiry: _Inquiry,
    strategy: Strategy,
    candidate: Path,
    probes: Probes,
    say: Callable[[str], None],
) -> Judged | Attempt:
    """Return a candidate with its evidence, or a failed attempt if the graph cannot be run."""
    subject, graph = inquiry.subject, candidate.with_name("model.onnx")
    try:
        stated = finish(candidate, graph, inquiry.signature, root=subject.root)
        opened, signature = open_with_inferred_sizes(graph, stated, inquiry.questions)
        say(f"proving {strategy.name}")
        asked = [question.case.dims for question in inquiry.questions]
        further = [dims for dims in probes if dims not in asked]
        sets = inquiry.questions[0].unordered
        answered, refused = ask_at(subject, inquiry.axes, further, sets)
        questions = inquiry.questions + answered
        evidence = tuple(map(inquiry.judge, prove(opened, questions, inquiry.tolerance)))
        judged = Judged(
            graph,
            signature,
            strategy.name,
            questions,
            evidence,
            refused,
            strategy.notes,
            strategy.limits,
        )
        if judged.holds:  # where an answer differs, that says more
            refuse_unopenable(signature, opened.signature)
    except OnnxpackError as exc:
        return Attempt(strategy.name, error=exc.message)
    return judged


def _locate(inquiry: _Inquiry, judged: Judged) -> Divergence | None:
    """Return the first node that differs, if the graph at least ran."""
    for question, case in zip(judged.questions, judged.evidence, strict=True):
        if any(output.max_abs and not output.passed for output in case.outputs):
            feeds = question.case.feeds
            return locate(judged.graph, feeds, inquiry.subject.trace(feeds), inquiry.tolerance)
    return None


def _choose_golden(proven: Judged) -> tuple[list[GoldenData], tuple[CaseEvidence, ...]]:
    """Return golden data of the first cases that fit the budget, and the evidence."""
    golden: list[GoldenData] = []
    recorded: list[CaseEvidence] = []
    used = 0
    for question, case in zip(proven.questions, proven.evidence, strict=True):
        inputs, outputs = question.case.feeds, question.expected
        used += sum(array.nbytes for array in (*inputs.values(), *outputs.values()))
        kept = case.passed and (not golden or (used <= GOLDEN_BYTES and _replays(question, case)))
        folder = set_name(len(golden)) if kept else None
        recorded.append(msgspec.structs.replace(case, golden=folder))
        if kept:
            golden.append(GoldenData(dict(inputs), dict(outputs)))
    return golden, tuple(recorded)


def _replays(question: Question, case: CaseEvidence) -> bool:
    """Return whether a replay would pass, which compares every element.

    A replay knows only the numbers of its own case. An output that passed with a reason has
    elements that were not compared.
    """
    return not any(output.reason for output in case.outputs) and all(
        output.noise <= NOISE_CEILING * common(np.abs(question.expected[output.output]))
        for output in case.outputs
        if output.noise
    )


def _dynamic(given: Dynamic | None, subject: Subject, *, static: bool) -> Dynamic | None:
    """Return the axes that the user names, even if there are none, or else the model's own."""
    return given if given is not None or static else subject.dynamic


def _labels(given: Sequence[str] | None, subject: Subject) -> tuple[str, ...] | None:
    """Return the user's names of the classes, or else the model's own."""
    labels = subject.labels if given is None else given
    return None if labels is None else tuple(labels)


def _origin(subject: Subject, proven: Judged) -> Mapping[str, str]:
    return {
        "framework": subject.framework,
        "framework_version": subject.framework_version,
        "model_class": subject.model_class,
        "strategy": proven.strategy,
    }


def _silent(_: str) -> None:
    return None
