"""What was found right is timed once more, and that timing decides."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from onnxpack.optimizer import variant
from onnxpack.optimizer.search import Task
from onnxpack.optimizer.space import Plan
from onnxpack.optimizer.speed import Speed
from onnxpack.optimizer.trial import Trial, Verdict
from onnxpack.pack.manifest import Timing

BASE = Timing(name="base", seconds=1.0, quartiles=(1.0, 1.0))


def _right(name: str, ratio: float) -> Trial:
    timing = Timing(
        name=name, seconds=1 / ratio, quartiles=(0.0, 1.0), ratio=ratio, interval=(ratio, ratio)
    )
    return Trial(
        plan=Plan((name,), "onnxruntime"), speed=Speed(BASE, timing), verdict=Verdict.RIGHT
    )


def test_variants_are_listed_as_they_were_timed_last(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    last = {"fuse": 2.0, "slim": 2.5}

    def finish(original: object, trial: Trial, *others: object) -> tuple[Trial, object]:
        return trial, SimpleNamespace(ratio=last[trial.name])

    monkeypatch.setattr(variant, "_finish", finish)
    trials = [_right("fuse", 3.0), _right("slim", 2.2)]
    given: list = [None, trials, Task("latency", 0.01), None, tmp_path, lambda _: None]
    taken, _ = variant.take(*given)
    assert list(taken) == ["slim", "fuse"]
    given[2] = Task("size", 0.01)
    taken, _ = variant.take(*given)
    assert list(taken) == ["fuse", "slim"]
