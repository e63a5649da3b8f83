"""Notes for the user about what a passed proof does not cover."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from onnxpack.pack.manifest import CaseEvidence, SkippedCase
from onnxpack.parity.nonfinite import INFINITIES, NONFINITE
from onnxpack.parity.prove import Question
from onnxpack.parity.ties import INFINITE_VALUES
from onnxpack.signature import Array

SIZES = re.compile(r"\w+=\d+(, \w+=\d+)*")
"""Pattern of the name of a case of other sizes: ``batch=2, tokens=5``."""
MASKS = "masks that keep"
VALUES = NONFINITE | {INFINITE_VALUES}
"""Names of cases whose values a caller may well give, while XGBoost's DMatrix, for example, refuses
infinities."""
UNASKED = (
    "the model has a loop whose end depends on values, so it was not tested far from the "
    "sample: the loop might not end there"
)
SHOWN = 3
"""Number of names and reasons that a note shows; pack.json has them all."""


def doubts(questions: Sequence[Question], skipped: Sequence[SkippedCase] = ()) -> Iterator[str]:
    """Yield a note for each thing that the cases did not show."""
    yield from _of_outputs(questions)
    yield from _of_refused_inputs(skipped)


def doubts_of_infinities(evidence: Iterable[CaseEvidence]) -> Iterator[str]:
    """Yield a note if a pack answers to infinities where the model answers NaN."""
    differing = {
        each.output: None
        for case in evidence
        if case.name in INFINITIES
        for each in case.outputs
        if each.passed and each.reason
    }
    if differing:
        yield (
            f"{', '.join(differing)}: where an input is infinite, the model returns NaN, but "
            "the pack may return a number"
        )


def _of_outputs(questions: Sequence[Question]) -> Iterator[str]:
    empty: dict[int, list[str]] = {}
    for name in questions[0].expected:
        answers = [question.expected[name] for question in questions]
        without = sum(answer.size == 0 for answer in answers)
        if without:
            empty.setdefault(without, []).append(name)
        # Beside the largest, since rows that differ may be beyond those of the sample.
        elif len(answers) > 1 and all(
            _is_alike(max(answers, key=np.size), answer) for answer in answers
        ):
            yield (
                f"output {name!r} is the same in every case, so the proof says little about it: "
                "does the model use its input?"
            )
    for count, names in empty.items():
        if count == len(questions):
            yield (
                f"{', '.join(names)}: empty in every case, so nothing is proven about what the "
                "pack gives there: a sample on which the model finds something would say more"
            )
        else:
            yield (
                f"{', '.join(names)}: empty in {count} of {len(questions)} cases, which say little "
                "about them: a sample on which the model finds more would say more"
            )


def _is_alike(first: Array, other: Array) -> bool:
    """Return whether two answers are equal where they overlap; one may be larger."""
    if first.ndim != other.ndim:
        return False
    shared = tuple(slice(min(sizes)) for sizes in zip(first.shape, other.shape, strict=True))
    return np.array_equal(first[shared], other[shared], equal_nan=first.dtype.kind in "fc")


def _of_refused_inputs(skipped: Sequence[SkippedCase]) -> Iterator[str]:
    """Yield a note for inputs that the model refuses, but that a graph may answer.

    Nothing in ONNX can refuse, for example, a batch of one or an infinity.
    """
    refused: dict[str, list[str]] = {}
    for case in skipped:
        if SIZES.fullmatch(case.name) or MASKS in case.name or case.name in VALUES:
            refused.setdefault(case.reason, []).append(case.name)
    for reason, names in list(refused.items())[:SHOWN]:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield (
            f"the model itself refuses {'; '.join(names[:SHOWN])}{more} ({reason}); if the pack "
            "answers there, its answer is not proven"
        )
