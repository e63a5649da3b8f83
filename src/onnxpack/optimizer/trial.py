"""What became of one plan."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from onnxpack.optimizer.space import Plan
from onnxpack.optimizer.speed import Speed
from onnxpack.pack.manifest import Kept, Step


class Verdict(StrEnum):
    """What is said of a plan."""

    KEPT = "kept"
    RIGHT = "right"
    LOSES = "loses too much"
    SLOWER = "no faster"
    FAILED = "failed"
    OPEN = "not judged"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One plan, and what was found.

    Attributes:
        steps: what was done to the graph, with the versions of what did it.
        size: bytes of the graph with its weights.
        speed: None where it was not timed.
        screened: what it kept on the rows that calibrated it; None where that was not asked.
        kept: what it keeps on held-out rows; None where it was not judged.
        verdict: what is said of it.
        why: the figures behind the verdict, or why it failed.
    """

    plan: Plan
    steps: tuple[Step, ...] = ()
    size: int = 0
    speed: Speed | None = None
    screened: float | None = None
    kept: Kept | None = None
    verdict: Verdict = Verdict.OPEN
    why: str = ""

    @property
    def name(self) -> str:
        """The name of its variant."""
        return self.plan.name
