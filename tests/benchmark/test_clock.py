"""Calls take turns, and none is counted before it has settled."""

from __future__ import annotations

import numpy as np
import pytest

from onnxpack.benchmark import clock
from onnxpack.benchmark.clock import Timed, interleave


def test_all_take_turns_and_none_always_follows_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "BLOCK", 1e-9)
    monkeypatch.setattr(clock, "SETTLE", 0.0)
    order: list[str] = []
    calls = {name: (lambda name=name: order.append(name)) for name in "abc"}
    found = interleave(calls, seconds=1e-12)
    assert {name: len(timed.rounds) for name, timed in found.items()} == dict.fromkeys(
        "abc", clock.ROUNDS
    )
    # Each block is one call that settles and one that counts; before the rounds their length is
    # measured.
    rounds = order[-2 * 3 * clock.ROUNDS :]
    firsts = [rounds[at] for at in range(0, len(rounds), 6)]
    assert firsts == ["a", "b", "c"] * 3


def test_calls_that_settle_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "SETTLE", 0.0)
    seen = []
    found = clock._block(lambda: seen.append(0), 5)
    assert len(found) == 5
    assert len(seen) > 5


def test_percentiles() -> None:
    timed = Timed(((1.0, 2.0, 3.0), (4.0, 5.0)))
    assert timed.median == 3.0
    assert timed.percentile(100) == 5.0
    assert list(timed.medians) == [2.0, 4.5]


def test_a_slow_call_is_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(np.arange(0, 1e6, 0.5))
    monkeypatch.setattr(clock, "perf_counter", lambda: float(next(ticks)))
    assert clock._block_length(lambda: None) == (1, 0.5)


def test_a_block_ends_where_calls_take_far_longer_than_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock, "SETTLE", 0.0)
    step = clock.BLOCK
    ticks = iter(np.arange(0, 1e6, step))
    monkeypatch.setattr(clock, "perf_counter", lambda: float(next(ticks)))
    assert len(clock._block(lambda: None, 10_000)) < 2 * clock.PATIENCE
