"""Print the evidence in a pack as a table, with one row for each case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxpack.cli import say, show

if TYPE_CHECKING:
    from onnxpack.comparison.tolerance import OutputEvidence
    from onnxpack.pack.manifest import CaseEvidence, Parity


SHOWN = 12
"""Most cases that passed and are printed; a proof has dozens of cases."""


def show_parity(parity: Parity) -> None:
    """Print each case's tolerance, error and verdict; of several outputs, the worst counts.

    Every case that did not pass has its own row.
    """
    kept = {case.name for case in [each for each in parity.cases if each.passed][:SHOWN]}
    rows = [_row(case) for case in parity.cases if not case.passed or case.name in kept]
    left_out = len(parity.cases) - len(rows)
    # A case that was not run has no verdict, so that it is not taken for one that passed.
    rows += [(case.name, "", "", "", "", "", "not run") for case in parity.skipped]
    numbers = ("error", "allowed", "max rel", "argmax")
    show.table(("case", "dims", *numbers, "verdict"), rows, right=numbers)
    if left_out:
        say.out(f"and {left_out} more that passed: --json prints all of them")
    for case in parity.skipped:
        say.out(f"{case.name} was not run: {case.reason}")
    for accepted in (case for case in parity.cases if case.accepted):
        for output in accepted.outputs:
            if not output.passed:
                say.out(f"{accepted.name} was accepted: {output.output} {output.reason}")
    tolerance = parity.tolerance
    passed = sum(case.passed for case in parity.cases)
    say.out(
        f"{passed} of {len(parity.cases)} cases passed at rtol {tolerance.rtol:g}, "
        f"atol {tolerance.atol:g} of what is typical around an element"
    )


def _row(case: CaseEvidence) -> tuple[str, ...]:
    worst = max(case.outputs, key=_nearness, default=None)
    agreements = [o.argmax_agreement for o in case.outputs if o.argmax_agreement is not None]
    return (
        case.name,
        ", ".join(f"{name}={size}" for name, size in case.dims.items()),
        "" if worst is None else f"{_error(worst):.1e}",
        "" if worst is None or not worst.allowed else f"{worst.allowed:.1e}",
        f"{max((output.max_rel for output in case.outputs), default=0.0):.1e}",
        f"{min(agreements):.0%}" if agreements else "",
        "PASS" if case.passed else "accepted" if case.accepted else "FAIL",
    )


def _nearness(output: OutputEvidence) -> tuple[bool, float]:
    """Return a sort key for how close an output's error is to its limit; failures come last."""
    error = _error(output)
    return not output.passed, error / output.allowed if output.allowed else error


def _error(output: OutputEvidence) -> float:
    """Return the error that the verdict is based on; older packs only recorded max abs."""
    return output.error if output.allowed else output.max_abs
