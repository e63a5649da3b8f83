"""Prove a graph: run it over the cases and compare it with the framework's answers.

If a difference exceeds the tolerance but is small, the framework's own answer is compared with its
answer in float64: what float32 cannot distinguish is noise, not error. A fixed tolerance would
refuse one correct model in five. Noise is measured around each element. An output of two numbers
may be near its answer in float64 by chance; then copies of the model with perturbed weights are
asked too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from onnxpack.comparison.detections import Sets, compare_all, pair
from onnxpack.comparison.elements import NOISE_CEILING, Noise
from onnxpack.comparison.scale import FEW, largest
from onnxpack.comparison.tolerance import OutputEvidence, Tolerance, failed
from onnxpack.errors import OnnxpackError
from onnxpack.pack.manifest import CaseEvidence
from onnxpack.pack.model import Pack
from onnxpack.parity.cases import Case
from onnxpack.parity.nonfinite import INFINITIES
from onnxpack.parity.rounding import nudged, without_undecided
from onnxpack.runtime.model import Model
from onnxpack.signature import Array

Outputs = Mapping[str, Array]


class Remembered:
    """An iterable that can be read many times, while each item is computed only once."""

    def __init__(self, items: Iterable[Outputs]) -> None:
        self._left = iter(items)
        self._known: list[Outputs] = []

    def __iter__(self) -> Iterator[Outputs]:
        yield from self._known
        for item in self._left:
            self._known.append(item)
            yield item


@dataclass(frozen=True)
class Question:
    """A case with the framework's answer to it.

    Attributes:
        in_float64: computes the framework's answer in float64; None where it cannot.
        unordered: groups of outputs whose rows have no order.
        again: computes the framework's answer to other inputs; None if that is not available.
        beside: computes the answers of perturbed copies of the model, see
            :meth:`Subject.run_perturbed`.
    """

    case: Case
    expected: Outputs
    in_float64: Callable[[Mapping[str, Array]], Outputs | None]
    unordered: Sets = ()
    again: Callable[[Mapping[str, Array]], Outputs] | None = None
    beside: Callable[[Mapping[str, Array]], Iterable[Outputs]] | None = None

    @cached_property
    def copies(self) -> Iterable[Outputs]:
        """The answers of perturbed copies of the model, each computed on first use."""
        return Remembered(() if self.beside is None else self.beside(self.case.feeds))

    @cached_property
    def exact(self) -> Outputs | None:
        """The framework's answer in float64, computed on first use."""
        return self.in_float64(self.case.feeds)


class Usual:
    """The usual magnitudes of outputs over the cases, at each index of their last axis.

    A logit may be near 0 in one case, with no other number next to it that shows its usual size.

    Args:
        questions: the cases to measure; stress cases are left out.
    """

    def __init__(self, questions: Iterable[Question]) -> None:
        self._answers = [each.expected for each in questions if not each.case.stress]
        self._known: dict[str, Array] = {}

    def sizes(self, output: str) -> Array:
        """Return the medians; a single one if the last axis varies; 0 if too little is known."""
        if output not in self._known:
            self._known[output] = self._measure([each[output] for each in self._answers])
        return self._known[output]

    def _measure(self, arrays: list[Array]) -> Array:
        lengths = {array.shape[-1:] for array in arrays if array.ndim > 1}
        shape = lengths.pop() if len(lengths) == 1 else ()
        places = math.prod(shape)
        if not places:
            return np.zeros(())
        sizes = [np.abs(array.astype(np.complex128)).reshape(-1, places) for array in arrays]
        rows = np.concatenate(sizes) if sizes else np.zeros((0, places))
        known = np.sort(rows[np.isfinite(rows).all(axis=1)], axis=0)
        if len(known) < FEW:
            return np.zeros(())
        known[1:][known[1:] == known[:-1]] = np.nan  # a mask of -1e8 counts once
        return np.asarray(np.nanmedian(known, axis=0)).reshape(shape)


def open_graph(graph: Path) -> Model:
    """Open a graph on CPU.

    Raises:
        PackError: the graph cannot be loaded.
    """
    return Model(Pack(path=graph, model_path=graph), provider="cpu")


def prove(
    graph: Path | Model, questions: Iterable[Question], tolerance: Tolerance
) -> tuple[CaseEvidence, ...]:
    """Run a graph on CPU over every question, and return the evidence.

    Args:
        graph: path of the graph, or the graph as :func:`open_graph` opened it.

    Raises:
        PackError: the graph cannot be loaded.
    """
    model = graph if isinstance(graph, Model) else open_graph(graph)
    asked = tuple(questions)
    usual = Usual(asked)
    unknown = Usual(())  # the sample always is golden data, which a replay judges alone
    return tuple(
        answer(model, question, tolerance, unknown if question.case.required else usual)
        for question in asked
    )


def answer(model: Model, question: Question, tolerance: Tolerance, usual: Usual) -> CaseEvidence:
    """Return the evidence of one question; an input that the graph refuses is a failed case."""
    case = question.case
    try:
        actual = model.run(case.feeds)
    except OnnxpackError as exc:
        outputs = tuple(failed(name, exc.message) for name in question.expected)
    else:
        outputs = _judge(question, actual, tolerance, usual)
        if case.stress and not all(found.passed for found in outputs):
            outputs = _judge_decided(question, actual, tolerance, usual) or outputs
        if case.name in INFINITIES and not all(found.passed for found in outputs):
            outputs = _judge_answered(question, actual, tolerance, usual) or outputs
    return CaseEvidence(name=case.name, dims=case.dims, golden=None, outputs=outputs)


def empty_throughout(questions: Iterable[Question]) -> list[str]:
    """Return the outputs without an element in any case: nothing would be proven about them."""
    filled: dict[str, bool] = {}
    for question in questions:
        for name, array in question.expected.items():
            filled[name] = filled.get(name, False) or array.size > 0
    return [name for name, seen in filled.items() if not seen]


def _judge(
    question: Question, actual: Outputs, tolerance: Tolerance, usual: Usual
) -> tuple[OutputEvidence, ...]:
    missing = [name for name in question.expected if name not in actual]
    if missing:
        return tuple(failed(name, "the graph has no such output") for name in missing)
    found = compare_all(question.expected, actual, tolerance, unordered=question.unordered)
    near = [each.output for each in found if not each.passed and _near(question, each, usual)]
    if not near:
        return found
    own = {name: np.zeros(question.expected[name].shape) for name in near}
    for answers in _better(question):
        for name, distance in _distances(question, answers, near).items():
            own[name] = np.maximum(own[name], distance)
        noise = {
            name: Noise(own=distance, usual=usual.sizes(name), far=question.case.stress)
            for name, distance in own.items()
        }
        sets = question.unordered
        found = compare_all(question.expected, actual, tolerance, unordered=sets, noise=noise)
        if all(each.passed for each in found):
            break
    return found


def _better(question: Question) -> Iterator[Outputs]:
    """Yield better answers, which show what float32 costs, one after the other."""
    yield question.exact or {}
    yield from question.copies


def _judge_decided(
    question: Question, actual: Outputs, tolerance: Tolerance, usual: Usual
) -> tuple[OutputEvidence, ...]:
    """Judge only elements that rounding does not decide; return () if they cannot be found.

    A model without an answer in float64, such as a scripted LSTM, is run on inputs that differ in
    their last bit. Copies of the model whose weights differ in their last bit reveal elements where
    the float64 answer is close by chance.
    """
    if not question.expected.keys() <= actual.keys():
        return ()
    ask = question.again if question.exact is None else question.in_float64
    beside = ask(nudged(question.case.feeds)) if ask is not None else None
    witnesses = [each for each in (question.exact, beside) if each is not None]
    witnesses.extend(question.copies)
    if not witnesses:
        return ()
    decided, reasons = without_undecided(question.expected, witnesses, actual, tolerance)
    return _with_reasons(_judge(question, decided, tolerance, usual), reasons)


def _judge_answered(
    question: Question, actual: Outputs, tolerance: Tolerance, usual: Usual
) -> tuple[OutputEvidence, ...]:
    """Judge only elements for which the model gives no NaN; return nothing if an output is missing.

    PyTorch 2.14's ``gelu`` is NaN at both infinities, and ONNX Runtime's only at one. A number in
    place of a NaN that an infinity caused loses no answer.
    """
    answered: dict[str, Array] = {}
    reasons: dict[str, str] = {}
    for name, wanted in question.expected.items():
        found = actual.get(name)
        if found is None or found.shape != wanted.shape or found.dtype != wanted.dtype:
            return ()
        open_places = np.isnan(wanted) & ~np.isnan(found) if wanted.dtype.kind in "fc" else False
        answered[name] = np.where(open_places, wanted, found).astype(found.dtype)
        count = int(np.count_nonzero(open_places))
        if count:
            reasons[name] = (
                f"{count} of {wanted.size} elements were not compared: the model returns NaN there"
            )
    return _with_reasons(_judge(question, answered, tolerance, usual), reasons)


def _with_reasons(
    outputs: tuple[OutputEvidence, ...], reasons: Mapping[str, str]
) -> tuple[OutputEvidence, ...]:
    """Return the outputs with a note, on those that passed, about what was not compared."""
    return tuple(
        msgspec.structs.replace(found, reason=reasons[found.output])
        if found.passed and found.output in reasons
        else found
        for found in outputs
    )


def _near(question: Question, found: OutputEvidence, usual: Usual) -> bool:
    """Return whether a difference may be noise, so that an answer in float64 is worth its time."""
    expected = question.expected[found.output]
    if expected.dtype.kind not in "fc":
        return False
    size = max(largest(expected), float(np.max(usual.sizes(found.output), initial=0.0)))
    return 0 < found.error <= NOISE_CEILING * size


def _distances(question: Question, exact: Outputs, names: Iterable[str]) -> dict[str, Array]:
    """Return the distance of the framework's answer from a better one, for each element."""
    fitting = all(
        name in exact and exact[name].shape == wanted.shape
        for name, wanted in question.expected.items()
    )
    if not fitting:
        return {}
    exact = pair(question.expected, exact, question.unordered)
    return {name: _difference(question.expected[name], exact[name]) for name in names}


def _difference(expected: Array, exact: Array) -> Array:
    """Return the absolute difference of each element; 0, which allows nothing, if not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        own = np.abs(expected.astype(np.result_type(exact, np.float64)) - exact)
    return np.where(np.isfinite(own), own, 0.0)
