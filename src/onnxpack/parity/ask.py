"""Collect the model's own answers to every case, before any graph is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain

from onnxpack.comparison.detections import Sets, check_sets, compare_all
from onnxpack.comparison.tolerance import Tolerance
from onnxpack.errors import (
    ExportError,
    NondeterministicError,
    OnnxpackError,
    SampleError,
    UsageError,
)
from onnxpack.pack.manifest import SkippedCase
from onnxpack.parity.cases import BATCH, Axes, Case, make_cases, sizes, tile
from onnxpack.parity.prove import Question, empty_throughout
from onnxpack.parity.refused import Refused, at_sizes
from onnxpack.parity.rounding_sensitive import set_aside_restless
from onnxpack.parity.subject import Probes, Subject
from onnxpack.parity.subset import tolerated_rows
from onnxpack.parity.ties import EQUAL
from onnxpack.parity.user_code import place_of
from onnxpack.signature import Array, Dim, Signature, TensorSpec, dtype_name

MAX_PROBE_BYTES = 2**28
UNSTEADY = (
    "remove the randomness from forward(): use nn.Dropout, or F.dropout(x, "
    "training=self.training), and no torch.rand"
)
FRESH = ", fresh values"
REMEMBERING = (
    "keep no state from one call to the next: take the state as an input, and return the new one"
)


def ask(
    subject: Subject, axes: Axes, tolerance: Tolerance, unordered: Sets = ()
) -> tuple[tuple[Question, ...], tuple[SkippedCase, ...]]:
    """Return the framework's answer to each case, and the cases that the model itself refuses.

    Args:
        unordered: groups of outputs whose rows have no order, as named by the user; if none are
            named, the subject names them.

    Raises:
        UsageError: ``unordered`` names something that is not an output, or outputs of different
            lengths.
        SampleError: the model refuses the sample, or accepts only one size on a dynamic axis.
        NondeterministicError: the model answers differently to the same input.
        ExportError: an output was empty in every case, or boxes depend on rounding.
    """
    questions: list[Question] = []
    skipped: list[SkippedCase] = []
    sets: Sets = ()
    weights = subject.weights
    near = make_cases(
        subject.sample,
        axes,
        weights=weights,
        per_size=subject.per_size,
        stressed=not subject.loops,
    )
    for case in chain(near, () if subject.loops else _edge_cases(subject, axes)):
        found = _put(subject, axes, case, skipped)
        if found is None:
            continue
        if case.required:
            sets = _sets(subject, found.expected, unordered)
            _refuse_nondeterministic(
                subject, case, found.expected, tolerance, "twice in a row", sets
            )
        elif found.expected.keys() != questions[0].expected.keys():
            raise _changing_outputs(case, questions[0].expected, found.expected)
        questions.append(replace(found, unordered=sets))
    first = questions[0]
    _refuse_nondeterministic(
        subject,
        first.case,
        first.expected,
        tolerance,
        "before and after other inputs",
        sets,
        remedy=REMEMBERING,
    )
    _refuse_unvaried(subject, axes, questions, skipped)
    kept, restless = set_aside_restless(questions)
    _refuse_empty(kept)
    return tuple(kept), (*skipped, *restless)


def _put(subject: Subject, axes: Axes, case: Case, skipped: list[SkippedCase]) -> Question | None:
    """Return the model's answer to a case, or to the part of the case that the model accepts.

    What the model refuses is added to ``skipped``.
    """
    try:
        return _question(subject, case, subject.run(case.feeds))
    except OnnxpackError:
        raise
    except Exception as exc:
        reason = _brief(exc) + place_of(exc)
        if case.required:
            raise SampleError(
                f"the model refuses the sample: {reason}", remedy=subject.cure(exc)
            ) from exc
    with suppress(Exception):
        part, feeds = _taken_part(subject, axes, case)
        question = _question(subject, replace(case, feeds=feeds), subject.run(feeds))
        skipped.append(SkippedCase(f"{case.name}{part}", reason))
        return question
    skipped.append(SkippedCase(case.name, reason))
    return None


def _question(
    subject: Subject, case: Case, expected: Mapping[str, Array], unordered: Sets = ()
) -> Question:
    return Question(
        case, expected, subject.run_float64, unordered, subject.run, subject.run_perturbed
    )


def _taken_part(subject: Subject, axes: Axes, case: Case) -> tuple[str, dict[str, Array]]:
    """Return what to ask in place of a case that the model refuses.

    The result is what was changed, as a suffix for the case's name, and the new inputs.

    Raises:
        LookupError: the model accepts no part of the case.
    """
    if case.spare is not None:
        return FRESH, case.spare
    found = tolerated_rows(subject.run, case.feeds, axes, case.dims.get(BATCH, 0))
    if found is None:
        raise LookupError
    return f", rows {', '.join(map(str, found.refused))}", found.feeds


def _sets(subject: Subject, sample: Mapping[str, Array], given: Sets) -> Sets:
    """Return the groups of outputs without row order: the user's, or else the model's own."""
    if not given:
        return subject.unordered(sample)
    check_sets(given, sample)
    for members in given:
        rows = {name: sample[name].shape[:1] for name in members}
        if len(set(rows.values())) > 1 or () in rows.values():
            shown = ", ".join(f"{name}{list(sample[name].shape)}" for name in members)
            raise UsageError(
                f"unordered outputs must all have the same number of rows, but they are {shown}."
            )
    return given


def _edge_cases(subject: Subject, axes: Axes) -> Iterator[Case]:
    for name, feeds in subject.edges():
        if _fits(feeds, subject.sample, axes):
            dims = sizes(feeds, axes)
            yield Case(name, dict(feeds), dims, edge=True, stress=name in EQUAL)


def _fits(feeds: Mapping[str, Array], sample: Mapping[str, Array], axes: Axes) -> bool:
    """Return whether inputs have the sample's fixed sizes, and one size for each axis name."""
    found: dict[str, int] = {}
    for name, array in feeds.items():
        named = axes.get(name, {})
        for axis, size in enumerate(array.shape):
            own = sample[name].shape[axis]
            if size != (found.setdefault(named[axis], size) if axis in named else own):
                return False
    return True


def ask_at(
    subject: Subject, axes: Axes, probes: Probes, unordered: Sets = ()
) -> tuple[tuple[Question, ...], tuple[Refused, ...]]:
    """Return the framework's answers at further sizes, and the sizes that it refuses.

    Raises:
        ExportError: an input of that size would be too large to try.
    """
    questions: list[Question] = []
    refused: list[Refused] = []
    own = sizes(subject.sample, axes)
    for dims in probes:
        feeds = tile(subject.sample, axes, dims)
        refuse_too_large(feeds, dims)
        try:
            expected = subject.run(feeds)
        except Exception as exc:  # noqa: BLE001 - a model can refuse an input in any way
            refused.append(Refused(dict(dims), own, _brief(exc) + place_of(exc)))
            continue
        case = Case(at_sizes(dims), feeds, dict(dims))
        questions.append(_question(subject, case, expected, unordered))
    return tuple(questions), tuple(refused)


def refuse_too_large(feeds: Mapping[str, Array], dims: Mapping[str, int]) -> None:
    """Raise an error if the inputs are too large to try.

    Raises:
        ExportError: they take more than ``MAX_PROBE_BYTES``.
    """
    if sum(array.nbytes for array in feeds.values()) > MAX_PROBE_BYTES:
        raise ExportError(f"the graph may be wrong at {at_sizes(dims)}, which is too large to try")


def measure_signature(
    sample: Mapping[str, Array], axes: Axes, questions: Sequence[Question]
) -> Signature:
    """Return the measured signature; output axes that grow with a dim get the dim's name."""
    inputs = tuple(
        _spec(name, array, tuple(axes[name].get(a, size) for a, size in enumerate(array.shape)))
        for name, array in sample.items()
    )
    outputs = tuple(
        _spec(name, array, _measured_dims(name, questions))
        for name, array in questions[0].expected.items()
    )
    return Signature(inputs, outputs)


def _spec(name: str, array: Array, shape: tuple[Dim, ...] | None) -> TensorSpec:
    return TensorSpec(name, dtype_name(array.dtype), shape)


def _measured_dims(output: str, questions: Sequence[Question]) -> tuple[Dim, ...] | None:
    shapes = [question.expected[output].shape for question in questions]
    if len({len(shape) for shape in shapes}) > 1:
        return None
    return tuple(
        _measured_dim(output, axis, [shape[axis] for shape in shapes], questions)
        for axis in range(len(shapes[0]))
    )


def _measured_dim(output: str, axis: int, sizes: list[int], questions: Sequence[Question]) -> Dim:
    if len(set(sizes)) == 1 and sizes[0]:
        return sizes[0]
    for dim in questions[0].case.dims:
        if sizes == [question.case.dims[dim] for question in questions]:
            return dim
    return f"{output}_{axis}"


def _refuse_nondeterministic(
    subject: Subject,
    case: Case,
    expected: Mapping[str, Array],
    tolerance: Tolerance,
    when: str,
    unordered: Sets,
    remedy: str = UNSTEADY,
) -> None:
    try:
        again = subject.run(case.feeds)
    except OnnxpackError:
        raise
    except Exception as exc:
        raise NondeterministicError(
            f"the model refuses an input that it answered before, {when}: {_brief(exc)}"
            f"{place_of(exc)}. A call with other sizes changed it.",
            remedy="give layers no state that depends on the sizes of an input, or fix the sizes: "
            "static=True",
            option="--static",
        ) from exc
    if again.keys() == expected.keys():
        found = compare_all(expected, again, tolerance, unordered=unordered)
        different = [evidence for evidence in found if not evidence.passed]
    else:
        raise _changing_outputs(case, expected, again)
    if different:
        cause = subject.unsteadiness(case.feeds)
        likely = f"\n  likely cause: {cause.reason}" if cause else ""
        raise NondeterministicError(
            f"the model answers differently to the same input, {when}: "
            f"output {different[0].output!r}: {different[0].reason}. No graph can be proven "
            f"equal to it.{likely}",
            remedy=cause.remedy if cause else remedy,
        )


def _changing_outputs(
    case: Case, expected: Mapping[str, Array], found: Mapping[str, Array]
) -> ExportError:
    return ExportError(
        f"the model returns other outputs in case {case.name!r} ({', '.join(found)}) than for "
        f"the sample ({', '.join(expected)}), but a graph's outputs are fixed.",
        remedy="export it for the sample's own sizes: static=True",
        option="--static",
    )


def _refuse_unvaried(
    subject: Subject, axes: Axes, questions: Sequence[Question], skipped: Sequence[SkippedCase]
) -> None:
    own = questions[0].case.dims
    for name, named in axes.items():
        for axis, dim in named.items():
            if all(question.case.dims[dim] == own[dim] for question in questions):
                reasons = [case.reason for case in skipped if f"{dim}=" in case.name]
                message = (
                    f"axis {axis} of input {name!r} is declared dynamic ({dim!r}), but the model "
                    f"itself takes no other size than {own[dim]}: {reasons[0]}"
                )
                values = questions[0].case.feeds[name]
                if values.ndim == 1 and len(axes) == 1:
                    raise SampleError(
                        message,
                        remedy="if the sample is one row, give it a batch axis: sample[None]",
                        option=f"--sample {_one_row(values)}",
                    )
                remedy = subject.fix_of_size(dim, own[dim]) or (
                    f"in the model take the size from the input, x.shape[{axis}], not from a "
                    f"number; or {_fix(axis)}"
                )
                raise SampleError(message, remedy=remedy)


def _one_row(values: Array) -> str:
    """Return the SPEC of random values like these, with a batch axis of one."""
    dtype, size = dtype_name(values.dtype), values.shape[0]
    return f"1x{size}" if dtype == "float32" else f"{dtype}[1,{size}]"


def _fix(axis: int) -> str:
    return (
        f"leave axis {axis} out of dynamic (--dynamic); dynamic={{}} lets only the batch vary"
        if axis
        else "fix the sizes with static=True (--static), and name the dynamic axes in dynamic "
        "(--dynamic)"
    )


def _refuse_empty(questions: Sequence[Question]) -> None:
    empty = empty_throughout(questions)
    if len(empty) == len(questions[0].expected):
        raise ExportError(
            f"output {empty[0]!r} was empty in every case, so nothing about it would be proven.",
            remedy="give a sample on which the model finds something, or lower its threshold",
        )


def _brief(exc: BaseException) -> str:
    """Return the type and the first non-empty line of an error, at most 300 characters."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    text = lines[0] if lines else ""
    return f"{type(exc).__name__}: {text}"[:300] if text else type(exc).__name__
