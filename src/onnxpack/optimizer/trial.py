"""What became of one plan."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from onnxpack.optimizer.space import Plan
from onnxpack.pack.manifest import Kept, Step, Timing


class Verdict(StrEnum):
    """What is said of a plan."""

    KEPT = "kept"
    RIGHT = "right"
    LOSES = "loses too much"
    SLOWER = "no faster"
    FAILED = "failed"
    OPEN = "not judged"


class Speed(msgspec.Struct, frozen=True):
    """How fast a graph was beside the base, in the same rounds.

    Attributes:
        base: of the base, which is the reference.
        timing: of the graph.
    """

    base: Timing
    timing: Timing

    @property
    def ratio(self) -> float:
        """How many times as fast as the base it was."""
        return self.timing.ratio or 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the ratio."""
        return self.timing.interval or (0.0, 0.0)


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
