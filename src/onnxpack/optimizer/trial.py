"""The result of trying one plan."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from onnxpack.optimizer.space import Plan
from onnxpack.optimizer.speed import Speed
from onnxpack.pack.manifest import Kept, Step

NOT_BEGUN = "not begun"
NO_TIME = "no time was left to evaluate it"


class Verdict(StrEnum):
    """The verdict on a plan."""

    KEPT = "kept"
    RIGHT = "right"
    LOSES = "loses too much"
    SLOWER = "no faster"
    FAILED = "failed"
    OPEN = "not judged"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One plan and its results.

    Attributes:
        plan: the plan.
        steps: transformations of the graph, with the versions of the libraries.
        size: bytes of the graph with its weights.
        speed: speed relative to the base; None if it was not timed.
        screened: share kept on the rows that calibrated it; None if it was not screened.
        error: distance of its answers to these rows from the original's, relative to their length.
        promising: whether it would be right if it kept the same share of the rows that judge.
        kept: how much it keeps on held-out rows; None if it was not judged.
        verdict: the verdict.
        why: figures behind the verdict, or why the plan failed.
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
        """The name of the plan's variant."""
        return self.plan.name

    @property
    def unfinished(self) -> bool:
        """Whether the search was stopped before this plan was finished."""
        return self.verdict is Verdict.OPEN and self.why in ("", NOT_BEGUN, NO_TIME)
