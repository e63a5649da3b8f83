"""How fast a graph is beside its reference."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from onnxpack.benchmark.clock import Call, interleave
from onnxpack.benchmark.ratio import to_timings
from onnxpack.pack.manifest import Timing


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


def time_pair(calls: Mapping[str, Call], *, seconds: float) -> Speed:
    """Time two calls in turn, the reference first.

    Args:
        calls: the two, by name.
        seconds: about how long each is timed.
    """
    base, timing = to_timings(interleave(calls, seconds=seconds))
    return Speed(base, timing)
