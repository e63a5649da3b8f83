"""The evidence in a pack, as a table: one row for each case that was run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxpack.cli import say, show

if TYPE_CHECKING:
    from onnxpack.pack.manifest import CaseEvidence, Parity
    from onnxpack.pack.model import Pack


def show_parity(parity: Parity) -> None:
    """Print what was compared and what was found; of several outputs the worst counts."""
    rows = [_row(case) for case in parity.cases]
    # What was not run has no verdict: it never reads like one that passed.
    rows += [(case.name, "", "", "", "", "not run") for case in parity.skipped]
    numbers = ("max abs", "max rel", "argmax")
    show.table(("case", "dims", *numbers, "verdict"), rows, right=numbers)
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
        f"atol {tolerance.atol:g} of the output's scale"
    )


def _row(case: CaseEvidence) -> tuple[str, ...]:
    agreements = [o.argmax_agreement for o in case.outputs if o.argmax_agreement is not None]
    return (
        case.name,
        ", ".join(f"{name}={size}" for name, size in case.dims.items()),
        f"{max((output.max_abs for output in case.outputs), default=0.0):.1e}",
        f"{max((output.max_rel for output in case.outputs), default=0.0):.1e}",
        f"{min(agreements):.0%}" if agreements else "",
        "PASS" if case.passed else "accepted" if case.accepted else "FAIL",
    )


def pack_size(pack: Pack) -> int:
    """The bytes of all the files that a pack names; of a bare graph, its own."""
    if pack.manifest is None:
        return pack.model_path.stat().st_size
    return sum(entry.size for entry in pack.manifest.files.values())
