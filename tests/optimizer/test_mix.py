"""Layers stay in float32: as few as do it, and found in few attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.optimizer.test_sequence import make_trial

from onnxpack.optimizer.mix import how_many, mix, mixes
from onnxpack.optimizer.space import Plan
from onnxpack.optimizer.trial import Trial, Verdict

LAYERS = 40
STATIC = Plan(("int8-minmax",), "onnxruntime")
DYNAMIC = Plan(("int8-dynamic",), "onnxruntime")


def test_no_more_than_half_is_spared() -> None:
    assert how_many(20) == [1, 2, 3, 4, 6, 8]
    assert how_many(1) == []


def with_plan(plan: Plan, trial: Trial) -> Trial:
    return msgspec.structs.replace(trial, plan=plan)


def attempts(enough: int, ratio: Callable[[int], float]) -> tuple[Callable[[Plan], Trial], list]:
    """A graph that keeps enough with so many layers spared."""
    asked: list[Plan] = []

    def attempt(plan: Plan) -> Trial:
        asked.append(plan)
        trial = make_trial(ratio(plan.spared), 1 / plan.spared, promising=plan.spared >= enough)
        return with_plan(plan, trial)

    return attempt, asked


@given(st.integers(1, LAYERS))
def test_the_fewest_that_suffice_are_found(enough: int) -> None:
    attempt, asked = attempts(enough, lambda spared: 4 - spared / 100)
    start = with_plan(STATIC, make_trial(4.0, 1.0, verdict=Verdict.LOSES))
    tried = mix([start], "latency", base=1.0, layers=lambda _: LAYERS, attempt=attempt)
    counts = how_many(LAYERS)
    wanted = [count for count in counts if count >= enough]
    found = sorted(each.plan.spared for each in tried if each.promising)
    assert found[:1] == wanted[:1]
    # The next safer graph is made too: it is judged first.
    assert found[1:2] == wanted[1:2]
    assert len(asked) == len(set(asked)) <= len(counts).bit_length() + 1


def test_nothing_is_mixed_where_a_right_graph_is_as_fast() -> None:
    attempt, asked = attempts(1, lambda _: 3.0)
    start = with_plan(STATIC, make_trial(2.0, 1.0, verdict=Verdict.LOSES))
    right = make_trial(2.5, 0.0, verdict=Verdict.RIGHT)
    assert mix([start, right], "latency", base=1.0, layers=lambda _: LAYERS, attempt=attempt) == []
    assert asked == []


def test_a_mix_too_slow_to_be_taken_ends_it() -> None:
    attempt, asked = attempts(LAYERS, lambda _: 0.9)
    start = with_plan(STATIC, make_trial(2.0, 1.0, verdict=Verdict.LOSES))
    mix([start], "latency", base=1.0, layers=lambda _: LAYERS, attempt=attempt)
    assert len(asked) == 1


def test_no_time_is_left() -> None:
    start = with_plan(STATIC, make_trial(2.0, 1.0, verdict=Verdict.LOSES))
    assert mix([start], "latency", base=1.0, layers=lambda _: LAYERS, attempt=lambda _: None) == []


def test_spared_layers_of_dynamic_int8_get_weights_of_8_bits() -> None:
    weights, plain = mixes(DYNAMIC, 4)
    assert [plan.name for plan in weights] == [
        "int8-dynamic-but-1-weights-8",
        "int8-dynamic-but-2-weights-8",
    ]
    assert plain == [replace(DYNAMIC, spared=1), replace(DYNAMIC, spared=2)]
    assert len(mixes(STATIC, 4)) == 1


@pytest.mark.parametrize("fails", [True, False])
def test_plain_mixes_are_tried_where_weights_cannot_be(fails: bool) -> None:
    attempt, _ = attempts(1, lambda _: 2.0)

    def failing(plan: Plan) -> Trial:
        trial = attempt(plan)
        if fails and plan.passes[-1] == "weights-8":
            return Trial(plan=plan, verdict=Verdict.FAILED)
        return trial

    start = with_plan(DYNAMIC, make_trial(3.0, 1.0, verdict=Verdict.LOSES))
    tried = mix([start], "latency", base=1.0, layers=lambda _: LAYERS, attempt=failing)
    assert any(each.plan.passes == DYNAMIC.passes for each in tried) is fails
