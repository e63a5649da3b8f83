"""Measure how much of the original's answers a candidate keeps, and whether it is enough.

The decision uses not the measured share but the lower bound of its confidence interval, see
:mod:`onnxpack.optimizer.confidence`.

Each output is judged by one measure, and the output that keeps least decides. By default:

- ``boxes``: outputs that are recorded as sets (``unordered``), together.
- ``agreement``: outputs of integers, booleans or text; floats whose last axis has as many places as
  there are labels; floats that are probabilities, so not negative with a sum of 1; floats that are
  named ``logits``; and floats ``[n, classes]`` beside an output of labels.
- ``neighbour``: other floats ``[n, d]`` or ``[n, tokens, d]`` with ``d`` of at least 64.
- ``error``: all other numbers.

A classifier without labels whose output is none of these, such as ``[n, 1000]`` scores, counts as
an embedding: choose ``agreement``, or export it with labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from onnxpack.comparison.detections import Sets
from onnxpack.comparison.distance import INFINITE, distance, same_labels
from onnxpack.errors import OnnxpackError, OptimizeError, UsageError
from onnxpack.exporters.target.attribute import load_attribute
from onnxpack.optimizer import measures
from onnxpack.optimizer.answers import Answers, count_rows
from onnxpack.optimizer.confidence import mean_bound, rows_needed, share_bound
from onnxpack.pack.manifest import Distance, Kept
from onnxpack.signature import Array

Kind: TypeAlias = Literal["agreement", "neighbour", "error", "boxes"]
Metric: TypeAlias = Callable[[Any, Any], Any]

EMBEDDING = 64
"""Least length of an embedding; shorter outputs are numbers with a meaning each."""
LEAST_NEIGHBOURS = 3
"""Least number of rows: with two rows, each has only one neighbour."""


@dataclass(frozen=True)
class Judgement:
    """How much was kept, for one output or for several.

    Attributes:
        measure: name of the measure, as in :class:`onnxpack.pack.manifest.Kept`.
        outputs: outputs that were measured.
        value: value of the measure; 1 if everything is kept.
        lower: lower bound of its one-sided 95 % confidence interval.
        samples: number of measured rows.
        figures: other figures: the mean cosine of embeddings, the error of numbers.
    """

    measure: str
    outputs: tuple[str, ...]
    value: float
    lower: float
    samples: int
    figures: Mapping[str, float] = field(default_factory=dict)

    def keeps(self, max_loss: float) -> bool:
        """Return whether at most ``max_loss`` is lost, with 95 % confidence."""
        return self.lower >= 1.0 - max_loss

    def describe(self, max_loss: float) -> str:
        """Return the figures in words, with the required value if it is not reached."""
        found = f"{self.measure} {self.value:.4f}, at least {self.lower:.4f}"
        return found if self.keeps(max_loss) else f"{found}, required {1 - max_loss:.4f}"

    def to_kept(self, max_loss: float) -> Kept:
        """Return the evidence in the form of the manifest."""
        return Kept(
            measure=self.measure,
            value=self.value,
            lower=self.lower,
            samples=self.samples,
            max_loss=max_loss,
        )


def judge(
    reference: Answers,
    candidate: Answers,
    *,
    labels: Sequence[str] | None = None,
    unordered: Sets = (),
    metric: str = "",
) -> Judgement:
    """Judge a candidate by the output that keeps least.

    Args:
        reference: the original's answers to rows that did not calibrate the candidate.
        candidate: the candidate's answers to the same rows.
        labels: names of the classes, if the pack has any.
        unordered: groups of outputs whose rows are a set.
        metric: ``agreement``, ``neighbour``, ``error`` or ``boxes`` for all outputs; ``module:fn``
            for the user's own function, see :func:`judge_by`; empty for the default, see the
            module.

    Raises:
        OptimizeError: the metric fails, or the answers do not fit.
        UsageError: the metric does not exist.
    """
    return min(
        judge_each(reference, candidate, labels=labels, unordered=unordered, metric=metric),
        key=lambda judgement: judgement.lower,
    )


def judge_each(
    reference: Answers,
    candidate: Answers,
    *,
    labels: Sequence[str] | None = None,
    unordered: Sets = (),
    metric: str = "",
) -> tuple[Judgement, ...]:
    """Judge every output, or group of outputs, by its own measure; see :func:`judge`."""
    if metric and metric not in get_args(Kind):
        if ":" not in metric:
            raise UsageError(
                f"{metric!r} is not a metric, expected {', '.join(get_args(Kind))} or module:fn.",
                remedy="--metric metrics.py:score",
            )
        return (judge_by(load_attribute(metric), reference, candidate, name=metric),)
    if not reference or not count_rows(reference):
        raise OptimizeError(
            "there are no answers to evaluate: expected at least one row and output."
        )
    kinds = choose_kinds(reference, labels=labels, unordered=unordered)
    return tuple(
        _judge(metric or kind, outputs, reference, candidate) for outputs, kind in kinds.items()
    )


def judge_by(function: Metric, reference: Answers, candidate: Answers, *, name: str) -> Judgement:
    """Judge a candidate by the user's own function.

    Args:
        function: takes the reference and the candidate, each an array for every output by name (a
            list of arrays if rows have different shapes). It returns a score between 0 and 1 for
            each row, or one share for all rows; 1 means that everything is kept.
        reference: the original's answers.
        candidate: the candidate's answers.
        name: name of the function.

    Raises:
        OptimizeError: the function raises an error, or returns anything else.
    """
    count = count_rows(reference)
    try:
        scores = np.asarray(function(reference, candidate), np.float64)
    except OnnxpackError:
        raise
    except (Exception, SystemExit) as exc:
        raise OptimizeError(f"the metric {name} failed: {type(exc).__name__}: {exc}") from exc
    if scores.shape not in ((), (count,)):
        raise OptimizeError(
            f"the metric {name} returned an array of shape {list(scores.shape)}, expected a "
            f"score for each of the {count} rows, or one number."
        )
    if not (np.isfinite(scores) & (scores >= 0) & (scores <= 1)).all():
        worst = scores[~((scores >= 0) & (scores <= 1))].flat[0]
        raise OptimizeError(f"the metric {name} returned {worst}, expected scores between 0 and 1.")
    # One number for all rows hides their spread: assume the worst, rows of only 0 and 1.
    each = scores if scores.ndim else np.full(count, float(scores))
    return _judgement(name, tuple(reference), each)


def choose_kinds(
    reference: Answers, *, labels: Sequence[str] | None = None, unordered: Sets = ()
) -> dict[tuple[str, ...], Kind]:
    """Return the measure of each output or group of outputs, by the rules of the module."""
    kinds: dict[tuple[str, ...], Kind] = {tuple(members): "boxes" for members in unordered}
    grouped = {name for members in unordered for name in members}
    single = {name: answer for name, answer in reference.items() if name not in grouped}
    has_labels = any(
        isinstance(answer, np.ndarray) and answer.dtype.kind in "iubOU"
        for answer in single.values()
    )
    for name, answer in single.items():
        kinds[name,] = _kind_of(name, answer, len(labels or ()), has_labels=has_labels)
    return kinds


def check_enough(samples: int, max_loss: float, *, besides: str = "") -> None:
    """Check that the number of rows is enough to show that no more than ``max_loss`` is lost.

    The last argument describes other rows that are needed, for the message.

    Args:
        samples: number of rows that judge.
        max_loss: share of answers that may be lost.

    Raises:
        OptimizeError: even without a miss the rows are too few; the message says how many are
            needed.
        UsageError: ``max_loss`` is not between 0 and 1.
    """
    needed = rows_needed(max_loss)
    if samples < needed:
        shown = 1.0 - share_bound(samples, samples) if samples else 1.0
        raise OptimizeError(
            f"{samples} rows cannot show a loss of at most {max_loss:g} with 95 % confidence: "
            f"without a single miss they show {shown:.3g}. Expected at least {needed} rows for "
            f"evaluation{besides}."
        )


def measure_distances(
    golden: str, reference: Mapping[str, Array], answers: Mapping[str, Array]
) -> tuple[Distance, ...]:
    """Return the distance between the answers and the original's in one golden set, by output.

    Raises:
        OptimizeError: an answer has another shape, or NaN where the original has none; a manifest
            cannot store an infinite distance.
    """
    found = []
    for name, wanted in reference.items():
        apart = distance(wanted, answers[name])
        if apart == INFINITE:
            raise OptimizeError(
                f"the answer {name!r} in {golden} is infinitely far from the original's: its "
                "shape differs, or it has NaN."
            )
        found.append(
            Distance(
                golden=golden,
                output=name,
                distance=apart,
                labels=same_labels(wanted, answers[name]),
            )
        )
    return tuple(found)


def _kind_of(name: str, answer: Array | Sequence[Array], labels: int, *, has_labels: bool) -> Kind:
    first = np.asarray(answer[0])
    if first.dtype.kind in "iubOU":
        return "agreement"
    if not isinstance(answer, np.ndarray) or answer.ndim < 2 or answer.dtype.kind != "f":
        return "error"
    places = answer.shape[-1]
    classes = places > 1 and (
        places == labels
        or "logits" in name.lower()
        or (has_labels and answer.ndim == 2)
        or _are_probabilities(answer)
    )
    if classes:
        return "agreement"
    return "neighbour" if answer.ndim in (2, 3) and places >= EMBEDDING else "error"


def _are_probabilities(answer: Array) -> bool:
    return bool((answer >= 0).all() and np.allclose(answer.sum(axis=-1), 1.0, atol=1e-3))


def _judge(
    kind: str, outputs: tuple[str, ...], reference: Answers, candidate: Answers
) -> Judgement:
    missing = [name for name in outputs if name not in candidate]
    if missing:
        raise OptimizeError(f"the candidate returns no output {missing[0]!r}.")
    if kind == "boxes":
        return _judgement(kind, outputs, measures.boxes(reference, candidate, outputs))
    wanted, found = (_as_array(side[outputs[0]]) for side in (reference, candidate))
    if wanted is None or found is None or wanted.shape != found.shape:
        return _judgement(kind, outputs, _row_by_row(kind, outputs[0], reference, candidate))
    if kind == "agreement":
        return _judgement(kind, outputs, measures.agreement(wanted, found))
    if wanted.dtype.kind not in "iubfc":
        raise UsageError(f"the output {outputs[0]!r} is text, which {kind} cannot evaluate.")
    if kind == "neighbour":
        if len(wanted) < LEAST_NEIGHBOURS:
            raise OptimizeError(
                f"{len(wanted)} rows have no neighbours to compare, "
                f"expected at least {LEAST_NEIGHBOURS}."
            )
        figures = {"cosine": measures.cosine(wanted, found)}
        return _judgement(kind, outputs, measures.neighbour(wanted, found), figures)
    figures = {"rms": measures.rms_error(wanted, found), "within": measures.WITHIN}
    return _judgement(kind, outputs, measures.within(wanted, found), figures)


def _row_by_row(kind: str, output: str, reference: Answers, candidate: Answers) -> Array:
    """Return scores of rows with different shapes; a row whose shape changed scores 0."""
    score = measures.agreement if kind == "agreement" else measures.within
    return np.array(
        [
            float(score(wanted[np.newaxis], found[np.newaxis])[0])
            if wanted.shape == found.shape
            else 0.0
            for wanted, found in zip(reference[output], candidate[output], strict=True)
        ]
    )


def _as_array(answer: Array | Sequence[Array]) -> Array | None:
    """Return one array of all rows, or None if rows have different shapes."""
    if isinstance(answer, np.ndarray):
        return answer
    return np.stack(answer) if len({row.shape for row in answer}) == 1 else None


def _judgement(
    measure: str,
    outputs: tuple[str, ...],
    scores: Array,
    figures: Mapping[str, float] | None = None,
) -> Judgement:
    hits = int(scores.sum())
    is_share = bool(np.isin(scores, (0.0, 1.0)).all())
    lower = share_bound(hits, scores.size) if is_share else mean_bound(scores)
    return Judgement(
        measure=measure,
        outputs=outputs,
        value=float(scores.mean()),
        lower=lower,
        samples=scores.size,
        figures=figures or {},
    )
