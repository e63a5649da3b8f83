"""Make the error for a model that could not be proven: each strategy's result, cause, remedy."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence

from onnxpack.errors import ExportError, ParityError
from onnxpack.parity.subject import Attempt, Subject


def refusal(
    subject: Subject, attempts: Sequence[Attempt], *, edges: Collection[str] = ()
) -> ExportError:
    """Return the error to raise if no strategy gave a graph that answers as the model does.

    Args:
        edges: the names of the cases whose differences a user may accept.
    """
    cause = subject.diagnose(attempts)
    lines = [
        f"{subject.model_class} was not exported: no graph could be proven equal to it.",
        *(f"  {attempt.strategy}: {_outcome(attempt)}" for attempt in attempts),
    ]
    if cause and all(cause.reason != attempt.error for attempt in attempts):
        lines.append(f"  {'likely' if cause.certain else 'possible'} cause: {cause.reason}")
    differed = any(attempt.evidence for attempt in attempts)
    kind = ParityError if differed else ExportError
    return kind(
        "\n".join(lines), remedy=(cause.remedy if cause else "") or _accepting(attempts, edges)
    )


def _accepting(attempts: Sequence[Attempt], edges: Collection[str]) -> str:
    """Return the options that accept the differences, if a graph differs only at edges."""
    for attempt in attempts:
        differing = [case.name for case in attempt.evidence if not case.passed]
        if differing and set(differing) <= set(edges):
            options = " ".join(f"--accept {shlex.quote(name)}" for name in differing)
            return (
                f"if you can live with these differences: accept={differing} ({options}); "
                "pack.json records them"
            )
    return ""


def _outcome(attempt: Attempt) -> str:
    if attempt.error is not None:
        return attempt.error
    failed = [case for case in attempt.evidence if not case.passed]
    worst = failed[0]
    output = next(output for output in worst.outputs if not output.passed)
    text = (
        f"answers differently in {len(failed)} of {len(attempt.evidence)} cases; "
        f"{worst.name}: output {output.output!r} {output.reason}"
    )
    return f"{text}; {attempt.divergence}" if attempt.divergence else text
