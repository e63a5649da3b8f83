"""Measure the speed of a graph relative to its reference."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from onnxpack.benchmark.clock import Call, interleave
from onnxpack.benchmark.ratio import to_timings
from onnxpack.pack.manifest import Timing


class Speed(msgspec.Struct, frozen=True):
    """The speed of a graph and of the base, timed in the same rounds.

    Attributes:
        base: timing of the base, which is the reference.
        timing: timing of the graph.
    """

    base: Timing
    timing: Timing

    @property
    def ratio(self) -> float:
        """How many times as fast as the base the graph was."""
        return self.timing.ratio or 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the ratio."""
        return self.timing.interval or (0.0, 0.0)


def time_pair(calls: Mapping[str, Call], *, seconds: float) -> Speed:
    """Time two calls alternately; the first is the reference.

    Args:
        calls: the two calls, by name.
        seconds: how long each call is timed, approximately.
    """
    base, timing = to_timings(interleave(calls, seconds=seconds))
    return Speed(base, timing)
