"""Rows judge one candidate after the other, and the first that loses too much is the last."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from tests.optimizer.test_sequence import make_trial

from onnxpack.optimizer import search as module
from onnxpack.optimizer.guard import Judgement
from onnxpack.optimizer.journal import Journal
from onnxpack.optimizer.search import PARITY, Task, search
from onnxpack.optimizer.space import Plan
from onnxpack.optimizer.trial import Trial, Verdict
from onnxpack.pack.manifest import Kept

PASSES = ("rewrite", "slim", "fuse", "offline")


@pytest.fixture
def outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Search among graphs that are each faster and less exact than the one before."""

    def run(
        bounds: list[float], exact: str = "", **task: Any
    ) -> tuple[list[Verdict], list[str], list[Trial]]:
        plans = [Plan((name,), "onnxruntime") for name in PASSES[: len(bounds)]]
        journal = Journal(tmp_path / "journal", {})
        for at, plan in enumerate(plans):
            trial = make_trial(2.0 + at, at / 10, promising=True)
            if plan.name == exact:
                kept = Kept(measure=PARITY, value=1.0, lower=1.0, samples=1, max_loss=0.1)
                trial = make_trial(2.0 + at, None, verdict=Verdict.RIGHT, kept=kept)
            journal.record(msgspec.structs.replace(trial, plan=plan))
        judged: list[str] = []

        def judge(plan: Plan) -> Judgement:
            judged.append(plan.name)
            lower = bounds[plans.index(plan)]
            return Judgement("agreement", ("y",), lower, lower, 300)

        graph = tmp_path / "model.onnx"
        graph.touch()
        original: Any = SimpleNamespace(
            pack=SimpleNamespace(model_path=graph), open=lambda _, plan: plan, judge=judge
        )
        monkeypatch.setattr(module, "graph_of", lambda original, plan, journal: (graph, ()))
        wanted = Task("latency", 0.1, **task)
        found = search(original, plans, wanted, journal, lambda _: None)
        return [trial.verdict for trial in found], judged, found

    return run


def test_the_first_that_loses_too_much_is_the_last_that_is_judged(outcome: Any) -> None:
    verdicts, judged, found = outcome([0.95, 0.85, 0.95])
    assert judged == ["rewrite", "slim"]
    assert verdicts == [Verdict.RIGHT, Verdict.LOSES, Verdict.OPEN]
    assert found[2].why == "slim, which is more accurate, lost too much"
    assert not found[2].unfinished


def test_all_are_judged_while_all_are_right(outcome: Any) -> None:
    verdicts, judged, _ = outcome([0.95, 0.93, 0.91])
    assert judged == ["rewrite", "slim", "fuse"]
    assert set(verdicts) == {Verdict.RIGHT}


def test_what_is_no_faster_than_an_exact_graph_is_not_judged(outcome: Any) -> None:
    verdicts, judged, found = outcome([0.95, 0.93, 0.91], exact="slim")
    assert judged == ["fuse"]
    assert verdicts == [Verdict.OPEN, Verdict.RIGHT, Verdict.RIGHT]
    assert found[0].why == "another graph is as fast and more accurate"


def test_a_search_without_time_is_not_finished(outcome: Any) -> None:
    verdicts, judged, found = outcome([0.95, 0.93], deadline=0.0)
    assert judged == []
    assert set(verdicts) == {Verdict.OPEN}
    assert all(trial.unfinished for trial in found)
