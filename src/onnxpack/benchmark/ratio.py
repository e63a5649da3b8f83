"""Compute how many times faster one call is than another, with a confidence interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnxpack.benchmark.clock import Timed
from onnxpack.pack.manifest import Timing

RESAMPLES = 2000
CONFIDENCE = 95.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def to_timings(timed: Mapping[str, Timed]) -> tuple[Timing, ...]:
    """Return a timing for each call; the ratios are relative to the first call."""
    reference = next(iter(timed))
    return tuple(_timing(name, timed, reference) for name in timed)


def _timing(name: str, timed: Mapping[str, Timed], reference: str) -> Timing:
    own = timed[name]
    found = None if name == reference else faster(own, timed[reference])
    return Timing(
        name=name,
        seconds=own.median,
        quartiles=(own.percentile(25), own.percentile(75)),
        ratio=found.value if found else None,
        interval=(found.low, found.high) if found else None,
    )


def faster(call: Timed, reference: Timed) -> Ratio:
    """Return how many times faster a call is than the reference; below 1 it is slower.

    The ratio is taken round by round, since both ran at the same time, and the median of these is
    the value. The interval is a percentile bootstrap over the rounds (Efron and Tibshirani, *An
    Introduction to the Bootstrap*, 1993, chapter 13), with a fixed seed.

    Args:
        call: the call, timed in the same rounds as the reference.
        reference: the call that it is compared with.
    """
    ratios = np.asarray(reference.medians) / np.asarray(call.medians)
    random = np.random.default_rng(0)
    drawn = random.choice(ratios, (RESAMPLES, len(ratios)))
    outside = (100 - CONFIDENCE) / 2
    low, high = np.percentile(np.median(drawn, axis=1), [outside, 100 - outside])
    return Ratio(float(np.median(ratios)), float(low), float(high))
