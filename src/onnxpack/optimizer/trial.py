"""What became of one plan."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from onnxpack.optimizer.space import Plan
from onnxpack.optimizer.speed import Speed
from onnxpack.pack.manifest import Kept, Step

NOT_BEGUN = "not begun"
NO_TIME = "no time was left to judge it"


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
        error: how far its answers to these rows lie from the original's, relative to their length.
        promising: whether it would be right if it kept as much of the rows that judge.
        kept: what it keeps on held-out rows; None where it was not judged.
        verdict: what is said of it.
        why: the figures behind the verdict, or why it failed.
    """

    plan: Plan
    steps: tuple[Step, ...] = ()
    size: int = 0
    speed: Speed | None = None
    screened: float | None = None
    error: float | None = None
    promising: bool = False
    kept: Kept | None = None
    verdict: Verdict = Verdict.OPEN
    why: str = ""

    @property
    def name(self) -> str:
        """The name of its variant."""
        return self.plan.name

    @property
    def unfinished(self) -> bool:
        """Whether the search was stopped before it came to this plan."""
        return self.verdict is Verdict.OPEN and self.why in ("", NOT_BEGUN, NO_TIME)
