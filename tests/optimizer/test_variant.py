"""What was found right is timed once more, and that timing decides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onnxpack.optimizer import variant
from onnxpack.optimizer.search import Task
from onnxpack.optimizer.space import Plan
from onnxpack.optimizer.speed import Speed
from onnxpack.optimizer.trial import Trial, Verdict
from onnxpack.pack.manifest import Timing

BASE = Timing(name="base", seconds=1.0, quartiles=(1.0, 1.0))


def _right(name: str, ratio: float, runtime: Any = "onnxruntime") -> Trial:
    timing = Timing(
        name=name, seconds=1 / ratio, quartiles=(0.0, 1.0), ratio=ratio, interval=(ratio, ratio)
    )
    return Trial(plan=Plan((name,), runtime), speed=Speed(BASE, timing), verdict=Verdict.RIGHT)


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """The names of what is taken, by the ratios of the last timing."""

    def call(trials: list[Trial], last: dict[str, float], goal: Any = "latency") -> list[str]:
        def finish(original: object, trial: Trial, *others: object) -> tuple[Trial, object]:
            ratio = last[trial.plan.passes[0]]
            return trial, SimpleNamespace(ratio=ratio) if ratio > 1 else None

        monkeypatch.setattr(variant, "_finish", finish)
        given: list = [None, trials, Task(goal, 0.01), None, tmp_path, lambda _: None]
        return list(variant.take(*given)[0])

    return call


def test_variants_are_listed_as_they_were_timed_last(take: Callable[..., list[str]]) -> None:
    trials = [_right("fuse", 3.0, "openvino"), _right("slim", 2.2)]
    last = {"fuse": 2.0, "slim": 2.5}
    assert take(trials, last) == ["slim", "fuse-openvino"]
    assert take(trials, last, "size") == ["fuse-openvino", "slim"]


def test_the_best_of_each_runtime_is_taken(take: Callable[..., list[str]]) -> None:
    trials = [_right("fuse", 3.0, "openvino"), _right("slim", 2.5, "openvino"),
              _right("rewrite", 2.2), _right("offline", 2.1)]  # fmt: skip
    last = {"fuse": 3.0, "slim": 2.5, "rewrite": 2.2, "offline": 2.1}
    assert take(trials, last) == ["fuse-openvino", "rewrite"]
    # One that turns out to be no faster leaves its place to the next.
    assert take(trials, last | {"fuse": 0.9, "rewrite": 0.9}) == ["slim-openvino", "offline"]


def test_openvino_is_not_taken_where_onnxruntime_is_as_fast(take: Callable[..., list[str]]) -> None:
    trials = [_right("fuse", 3.0), _right("slim", 2.5, "openvino")]
    assert take(trials, {"fuse": 3.0, "slim": 2.5}) == ["fuse"]
