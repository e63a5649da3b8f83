"""Detect detectors whose boxes depend on rounding rather than on their weights.

Boxes are chosen by thresholds and by order. Where two candidates are nearly equal, as they all are
with random weights, the last bit decides which one is found. Then the model's own answer changes
with the number of threads, and a graph that passed every case can differ in the next.

A negated or scaled picture can saturate scores that are otherwise well apart. Such a case is only
reported as skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from onnxpack.comparison.detections import compare_all
from onnxpack.comparison.elements import NOISE_CEILING
from onnxpack.comparison.tolerance import Tolerance
from onnxpack.errors import ExportError
from onnxpack.pack.manifest import SkippedCase
from onnxpack.parity.prove import Question

LOOKED_AT = 3
"""Number of ordinary cases with detections that are checked; a detector is slow in float64."""
_WIDE = Tolerance(rtol=NOISE_CEILING, atol=NOISE_CEILING)


def set_aside_restless(
    questions: Sequence[Question],
) -> tuple[list[Question], list[SkippedCase]]:
    """Return the questions that can be judged, and the stress cases in which rounding decides.

    Raises:
        ExportError: for inputs of the sample's kind, a detector's own boxes change in float64 by
            more than the rounding of float32 explains.
    """
    _refuse_restless([question for question in questions if not question.case.stress])
    kept: list[Question] = []
    skipped: list[SkippedCase] = []
    for question in questions:
        moved = question.case.stress and _finds_something(question) and _moved(question)
        if moved:
            reason = f"the model's own boxes depend on how it rounds: in float64 {moved}"
            skipped.append(SkippedCase(question.case.name, reason))
        else:
            kept.append(question)
    return kept, skipped


def _refuse_restless(questions: Sequence[Question]) -> None:
    for question in islice(filter(_finds_something, questions), LOOKED_AT):
        moved = _moved(question)
        if moved:
            raise ExportError(
                "the model's own boxes depend on how it rounds: in float64 it answers "
                f"differently in case {question.case.name!r}: {moved}. No graph can be proven "
                "equal to it.",
                remedy="give it trained weights: with random ones all boxes are nearly equal; or "
                "export the part before boxes are chosen",
            )


def _finds_something(question: Question) -> bool:
    return any(question.expected[members[0]].size for members in question.unordered)


def _moved(question: Question) -> str:
    """Return how the answer in float64 differs; empty if it does not, or if there is none."""
    exact = question.exact
    if exact is None or exact.keys() != question.expected.keys():
        return ""
    narrowed = {
        name: exact[name].astype(wanted.dtype) for name, wanted in question.expected.items()
    }
    found = compare_all(question.expected, narrowed, _WIDE, unordered=question.unordered)
    for evidence in found:
        if not evidence.passed:
            return f"{evidence.output} {evidence.reason}"
    return ""
