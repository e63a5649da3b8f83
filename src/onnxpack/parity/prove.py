"""The proof: the graph is run over the cases and held against the framework's answers.

Where a difference is beyond the tolerance, and small, the framework's own answer is held against
its answer in float64: what float32 itself cannot tell apart is noise, not error. A fixed
tolerance would refuse one right model in five.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from onnxpack.comparison.detections import compare_all, detection_groups, pair
from onnxpack.comparison.tolerance import OutputEvidence, Tolerance, failed, scale
from onnxpack.errors import OnnxpackError
from onnxpack.pack.manifest import CaseEvidence
from onnxpack.pack.model import Pack
from onnxpack.parity.cases import Case
from onnxpack.parity.rounding import nudged, without_undecided
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

NOISE_FACTOR = 4.0
"""Two float32 evaluations of one formula lie within a small multiple of each other's error."""
NOISE_CEILING = 1e-3
"""As a fraction of the output's scale: a larger difference is never called noise."""

Outputs = Mapping[str, Array]


@dataclass(frozen=True)
class Question:
    """A case with the framework's answer to it.

    Attributes:
        in_float64: computes the framework's answer in float64; None where it cannot.
    """

    case: Case
    expected: Outputs
    in_float64: Callable[[Mapping[str, Array]], Outputs | None]

    @cached_property
    def exact(self) -> Outputs | None:
        """The framework's answer in float64, computed when first wanted."""
        return self.in_float64(self.case.feeds)


def prove(
    graph: Path, questions: Iterable[Question], tolerance: Tolerance
) -> tuple[CaseEvidence, ...]:
    """Run a graph on CPU over every question.

    Raises:
        PackError: the graph cannot be loaded.
    """
    model = Model(Pack(path=graph, model_path=graph), provider="cpu")
    return tuple(answer(model, question, tolerance) for question in questions)


def answer(model: Model, question: Question, tolerance: Tolerance) -> CaseEvidence:
    """The evidence of one question; an input that the graph refuses is a failed case."""
    case = question.case
    try:
        actual = model.run(case.feeds)
    except OnnxpackError as exc:
        outputs = tuple(failed(name, exc.message) for name in question.expected)
    else:
        outputs = _judge(question, actual, tolerance)
        if case.stress and not all(found.passed for found in outputs):
            outputs = _judge_decided(question, actual, tolerance) or outputs
    return CaseEvidence(name=case.name, dims=case.dims, golden=None, outputs=outputs)


def empty_throughout(questions: Iterable[Question]) -> list[str]:
    """The outputs that had no element in any case: of them nothing would be proven."""
    filled: dict[str, bool] = {}
    for question in questions:
        for name, array in question.expected.items():
            filled[name] = filled.get(name, False) or array.size > 0
    return [name for name, seen in filled.items() if not seen]


def _judge(question: Question, actual: Outputs, tolerance: Tolerance) -> tuple[OutputEvidence, ...]:
    missing = [name for name in question.expected if name not in actual]
    if missing:
        return tuple(failed(name, "the graph has no such output") for name in missing)
    first = compare_all(question.expected, actual, tolerance)
    near = [found.output for found in first if not found.passed and _near(question, found)]
    if not near or question.exact is None:
        return first
    return compare_all(question.expected, actual, tolerance, _noise(question, near))


def _judge_decided(
    question: Question, actual: Outputs, tolerance: Tolerance
) -> tuple[OutputEvidence, ...]:
    """Judge only what rounding does not decide; empty where there is no answer in float64."""
    if question.exact is None or not question.expected.keys() <= actual.keys():
        return ()
    beside = question.in_float64(nudged(question.case.feeds))
    witnesses = [question.exact, *([beside] if beside is not None else [])]
    decided, reasons = without_undecided(question.expected, witnesses, actual, tolerance)
    return tuple(
        msgspec.structs.replace(found, reason=reasons[found.output])
        if found.passed and found.output in reasons
        else found
        for found in _judge(question, decided, tolerance)
    )


def _near(question: Question, found: OutputEvidence) -> bool:
    expected = question.expected[found.output]
    if expected.dtype.kind not in "fc":
        return False
    size = scale(expected)
    return 0 < found.max_abs <= NOISE_CEILING * size


def _noise(question: Question, names: Iterable[str]) -> dict[str, float]:
    """What float32 costs the framework itself, for each of these outputs."""
    exact = question.exact or {}
    fitting = all(
        name in exact and exact[name].shape == wanted.shape
        for name, wanted in question.expected.items()
    )
    if not fitting:
        return {}
    if any(True for _ in detection_groups(question.expected)):
        exact = pair(question.expected, exact)
    noise = {}
    for name in names:
        wanted = question.expected[name]
        own = np.abs(wanted.astype(np.float64) - exact[name])
        worst = float(own.max(initial=0.0, where=np.isfinite(own)))
        noise[name] = min(NOISE_FACTOR * worst, NOISE_CEILING * scale(wanted))
    return noise
