"""The ratio of two timings, with an interval that holds what it says."""

from __future__ import annotations

import numpy as np
import pytest

from onnxpack.benchmark.clock import Timed
from onnxpack.benchmark.ratio import faster


def timed(medians: object) -> Timed:
    return Timed(tuple((float(each),) for each in np.asarray(medians)))


def test_twice_as_fast() -> None:
    found = faster(timed([1.0] * 9), timed([2.0] * 9))
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)


def test_a_drift_that_both_share_does_not_count() -> None:
    drift = np.linspace(1, 5, 9)
    found = faster(timed(drift), timed(3 * drift))
    assert found.low == pytest.approx(3)
    assert found.high == pytest.approx(3)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        noise = np.exp(random.normal(0, 0.1, (2, 15)))
        found = faster(timed(noise[0]), timed(1.5 * noise[1]))
        held += found.low <= 1.5 <= found.high
    assert held >= 180


def test_the_same_timings_give_the_same_interval() -> None:
    random = np.random.default_rng(2)
    one, other = timed(random.random(9) + 1), timed(random.random(9) + 1)
    assert faster(one, other) == faster(one, other)
