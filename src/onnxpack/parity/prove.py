"""The proof: the graph is run over the cases and held against the framework's answers.

Where a difference is beyond the tolerance, and small, the framework's own answer is held against
its answer in float64: what float32 itself cannot tell apart is noise, not error. A fixed
tolerance would refuse one right model in five. Noise is measured around each element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from onnxpack.comparison.detections import Sets, compare_all, pair
from onnxpack.comparison.elements import NOISE_CEILING, Noise
from onnxpack.comparison.scale import largest
from onnxpack.comparison.tolerance import OutputEvidence, Tolerance, failed
from onnxpack.errors import OnnxpackError
from onnxpack.pack.manifest import CaseEvidence
from onnxpack.pack.model import Pack
from onnxpack.parity.cases import Case
from onnxpack.parity.rounding import nudged, without_undecided
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

Outputs = Mapping[str, Array]


@dataclass(frozen=True)
class Question:
    """A case with the framework's answer to it.

    Attributes:
        in_float64: computes the framework's answer in float64; None where it cannot.
        unordered: groups of outputs whose rows are a set.
        again: computes the framework's answer to other inputs; None where it is not at hand.
    """

    case: Case
    expected: Outputs
    in_float64: Callable[[Mapping[str, Array]], Outputs | None]
    unordered: Sets = ()
    again: Callable[[Mapping[str, Array]], Outputs] | None = None

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
    sets = question.unordered
    first = compare_all(question.expected, actual, tolerance, unordered=sets)
    near = [found.output for found in first if not found.passed and _near(question, found)]
    if not near or question.exact is None:
        return first
    noise = _noise(question, near)
    return compare_all(question.expected, actual, tolerance, unordered=sets, noise=noise)


def _judge_decided(
    question: Question, actual: Outputs, tolerance: Tolerance
) -> tuple[OutputEvidence, ...]:
    """Judge only what rounding does not decide; empty where the model can show nothing of it.

    A model without an answer in float64, such as a scripted LSTM, shows it by its answer to inputs
    that differ in their last bit.
    """
    if not question.expected.keys() <= actual.keys():
        return ()
    ask = question.again if question.exact is None else question.in_float64
    beside = ask(nudged(question.case.feeds)) if ask is not None else None
    witnesses = [each for each in (question.exact, beside) if each is not None]
    if not witnesses:
        return ()
    decided, reasons = without_undecided(question.expected, witnesses, actual, tolerance)
    return tuple(
        msgspec.structs.replace(found, reason=reasons[found.output])
        if found.passed and found.output in reasons
        else found
        for found in _judge(question, decided, tolerance)
    )


def _near(question: Question, found: OutputEvidence) -> bool:
    """Whether a difference may be noise at all, so that an answer in float64 is worth its time."""
    expected = question.expected[found.output]
    if expected.dtype.kind not in "fc":
        return False
    return 0 < found.error <= NOISE_CEILING * largest(expected)


def _noise(question: Question, names: Iterable[str]) -> dict[str, Noise]:
    """What float32 costs the framework itself, for each element of these outputs."""
    exact = question.exact or {}
    fitting = all(
        name in exact and exact[name].shape == wanted.shape
        for name, wanted in question.expected.items()
    )
    if not fitting:
        return {}
    exact = pair(question.expected, exact, question.unordered)
    return {name: Noise(own=_difference(question.expected[name], exact[name])) for name in names}


def _difference(expected: Array, exact: Array) -> Array:
    """How far each element is off; 0 where that cannot be told, which allows nothing."""
    with np.errstate(over="ignore", invalid="ignore"):
        own = np.abs(expected.astype(np.result_type(exact, np.float64)) - exact)
    return np.where(np.isfinite(own), own, 0.0)
