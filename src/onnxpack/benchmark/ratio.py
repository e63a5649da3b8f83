"""How many times faster one call is than another, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnxpack.benchmark.clock import Timed

RESAMPLES = 2000
CONFIDENCE = 95.0


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def faster(call: Timed, reference: Timed) -> Ratio:
    """Return how many times faster a call is than the reference; below 1 it is slower.

    The ratio is taken round by round, since both ran within the same moment, and the median of
    these is the value. The interval is a percentile bootstrap over the rounds (Efron and
    Tibshirani, *An Introduction to the Bootstrap*, 1993, chapter 13), with a fixed seed.

    Args:
        call: timed in the same rounds as the reference.
        reference: what it is compared with.
    """
    ratios = np.asarray(reference.medians) / np.asarray(call.medians)
    random = np.random.default_rng(0)
    drawn = random.choice(ratios, (RESAMPLES, len(ratios)))
    outside = (100 - CONFIDENCE) / 2
    low, high = np.percentile(np.median(drawn, axis=1), [outside, 100 - outside])
    return Ratio(float(np.median(ratios)), float(low), float(high))
