"""Candidates are judged in an order that the rows that judge have no part in."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from onnxpack.optimizer.sequence import SURE, front, gain, sequence
from onnxpack.optimizer.space import Plan
from onnxpack.optimizer.speed import Speed
from onnxpack.optimizer.trial import Trial, Verdict
from onnxpack.pack.manifest import Timing


def make_trial(ratio: float, error: float | None, **known: Any) -> Trial:
    base = Timing(name="base", seconds=1.0, quartiles=(1.0, 1.0))
    timing = msgspec.structs.replace(base, name="it", ratio=ratio, interval=(ratio, ratio))
    plan = Plan(("rewrite",), "onnxruntime")
    return Trial(plan=plan, speed=Speed(base, timing), error=error, **known)


TRIALS = st.lists(
    st.builds(
        make_trial,
        st.floats(0.5, 9),
        st.none() | st.floats(0, 2),
        promising=st.booleans(),
        size=st.integers(1, 100),
        verdict=st.sampled_from(list(Verdict)),
    )
)


@given(TRIALS, st.sampled_from(["latency", "size"]))
def test_each_is_faster_and_less_exact_than_the_one_before(trials: list[Trial], goal: Any) -> None:
    found = front(trials, goal)
    for one, next_ in pairwise(found):
        assert gain(next_, goal) > gain(one, goal)
        assert (next_.error or 0) >= (one.error or 0)
    for each in trials:
        if each.error is not None:
            assert any(
                (other.error or 0) <= each.error and gain(other, goal) >= gain(each, goal)
                for other in found
            )


@given(TRIALS)
def test_what_failed_or_is_slow_is_not_judged(trials: list[Trial]) -> None:
    order = sequence(trials, "latency")
    assert all(each.verdict is Verdict.OPEN for each in order)


def test_few_that_are_sure_are_judged_before_those_that_may_not_be() -> None:
    trials = [make_trial(1 + at, at / 10, promising=at < 5) for at in range(8)]
    assert sequence(trials, "latency") == trials[5 - SURE :]
    assert sequence(trials[5:], "latency") == trials[5:]
