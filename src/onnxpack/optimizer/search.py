"""The search: make, time and screen every plan, mix those that lose too much, then judge.

Making and timing take seconds; judging runs a graph on every held-out row. So each plan is first
screened on its calibration rows, and only a few are judged: those of a sequence that is
fixed before any row judges, see :mod:`onnxpack.optimizer.sequence`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic

import msgspec

from onnxpack.errors import OnnxpackError
from onnxpack.optimizer.journal import Journal
from onnxpack.optimizer.mix import mix
from onnxpack.optimizer.original import Original
from onnxpack.optimizer.sequence import gain, sequence
from onnxpack.optimizer.space import PASSES, Goal, Plan
from onnxpack.optimizer.speed import Speed, time_pair
from onnxpack.optimizer.trial import NO_TIME, NOT_BEGUN, Trial, Verdict
from onnxpack.pack.manifest import Kept, Step
from onnxpack.runtime.replay import Run

SECONDS = 0.6
"""Seconds that a candidate and the base are timed each, approximately; slow models take longer."""
THROUGHPUT = 8
"""Rows of a call if throughput is the goal."""
PARITY = "parity"
"""The measure of a graph that reproduces all golden sets of the pack within its tolerance."""
SLACK = 0.02
"""Screening tolerance in addition to the allowed loss.

A candidate that loses more than both on its calibration rows is not judged on others.
"""


@dataclass(frozen=True)
class Task:
    """The goal and limits of a search.

    Attributes:
        goal: ``latency`` of one row, ``throughput`` of several, or ``size`` of the file.
        max_loss: share of answers that may be lost, with 95 % confidence.
        deadline: time after which nothing new is begun, by ``time.monotonic``; None for no limit.
        last_made: time after which no new plan is begun, so that time is left to mix and judge.
        last_mixed: time after which no new mix is begun.
    """

    goal: Goal
    max_loss: float
    deadline: float | None = None
    last_made: float | None = None
    last_mixed: float | None = None

    @property
    def batch(self) -> int:
        """The number of rows of a timed call."""
        return THROUGHPUT if self.goal == "throughput" else 1

    @property
    def over(self) -> bool:
        """Whether the budget is spent."""
        return _is_past(self.deadline)

    @property
    def all_made(self) -> bool:
        """Whether the rest of the budget is for mixing and judging."""
        return _is_past(self.last_made)

    @property
    def all_mixed(self) -> bool:
        """Whether the rest of the budget is only for judging."""
        return _is_past(self.last_mixed)


def _is_past(moment: float | None) -> bool:
    return moment is not None and monotonic() >= moment


def search(
    original: Original,
    plans: Iterable[Plan],
    task: Task,
    journal: Journal,
    say: Callable[[str], None],
) -> list[Trial]:
    """Try every plan, cheap ones first, then mix and judge; see the module.

    Returns:
        The result of each plan, in the order in which they were tried. Ctrl-C ends only the search:
        the results so far are returned.
    """
    return _Search(original, list(plans), task, journal, say).run()


@dataclass(frozen=True)
class _Search:
    original: Original
    plans: list[Plan]
    task: Task
    journal: Journal
    say: Callable[[str], None]

    def run(self) -> list[Trial]:
        names = [plan.name for plan in self.plans]
        try:
            for plan in self.plans:
                if not self.task.all_made:
                    self.attempt(plan)
            for runtime in dict.fromkeys(plan.runtime for plan in self.plans):
                names += [trial.name for trial in self.mix(self.found(runtime))]
                self.judge(self.found(runtime))
        except KeyboardInterrupt:
            self.say("stopped: using the best graph found so far")
        known = self.journal.found
        untried = {plan.name: Trial(plan=plan, why=NOT_BEGUN) for plan in self.plans}
        return [known.get(name) or untried[name] for name in dict.fromkeys(names)]

    def found(self, runtime: str) -> list[Trial]:
        return [each for each in self.journal.found.values() if each.plan.runtime == runtime]

    def attempt(self, plan: Plan) -> Trial:
        """Make, time and screen a plan, unless this was done before."""
        if plan.name not in self.journal.found:
            twin = self.slow_twin(plan)
            if twin is None:
                trial = self.make(plan)
            else:
                why = f"the graph of {twin.name} with other ranges, so it is as slow"
                trial = Trial(plan=plan, verdict=Verdict.SLOWER, why=why)
            self.journal.record(trial)
        return self.journal.found[plan.name]

    def slow_twin(self, plan: Plan) -> Trial | None:
        """Return a slow trial whose graph differs only in the ranges of int8, or None."""
        slow = (each for each in self.journal.found.values() if each.verdict is Verdict.SLOWER)
        return next((each for each in slow if each.plan.shape == plan.shape), None)

    def make(self, plan: Plan) -> Trial:
        self.say(f"{plan.name}: building it{self.best()}")
        trial = Trial(plan=plan)
        try:
            graph, steps = graph_of(self.original, plan, self.journal)
            trial = msgspec.structs.replace(trial, steps=steps, size=_size(graph))
            predict = self.original.open(graph, plan)
            self.say(f"{plan.name}: timing it{self.best()}")
            predict(self.original.feeds(self.task.batch))
            speed = time_beside(self.original, plan.name, predict, self.task.batch, SECONDS)
            trial = msgspec.structs.replace(trial, speed=speed)
            if self.task.goal != "size" and speed.interval[1] < 1:
                return msgspec.structs.replace(trial, verdict=Verdict.SLOWER)
            return self.screen(trial, predict)
        except OnnxpackError as exc:
            return msgspec.structs.replace(trial, verdict=Verdict.FAILED, why=exc.message)

    def screen(self, trial: Trial, predict: Run) -> Trial:
        """Replay the golden data of an exact graph; judge others by the rows that calibrated them.

        Raises:
            OnnxpackError: the graph does not run at the sizes of a golden set.
        """
        if trial.plan.exact:
            exact = self.replay(trial, predict)
            # Another order of summation can miss the tolerance by rounding; then the rows decide.
            if exact.verdict is Verdict.RIGHT or self.original.split is None:
                return exact
        fault = self.original.misses_a_size(predict)
        if fault:
            return msgspec.structs.replace(trial, verdict=Verdict.FAILED, why=fault)
        found = self.original.screen(predict)
        allowed = 1 - self.task.max_loss
        trial = msgspec.structs.replace(
            trial,
            screened=found.value,
            error=found.error,
            promising=self.original.bound(found.value) >= allowed,
        )
        if found.value >= allowed - SLACK:
            return trial
        why = f"{found.measure} {found.value:.3f} on its calibration rows"
        return msgspec.structs.replace(trial, verdict=Verdict.LOSES, why=why)

    def replay(self, trial: Trial, predict: Run) -> Trial:
        fault = self.original.replays(predict)
        if fault:
            return msgspec.structs.replace(trial, verdict=Verdict.LOSES, why=fault)
        sets = len(self.original.pack.golden)
        loss = self.task.max_loss
        kept = Kept(measure=PARITY, value=1.0, lower=1.0, samples=sets, max_loss=loss)
        why = f"equal in all {sets} golden sets"
        return msgspec.structs.replace(trial, kept=kept, verdict=Verdict.RIGHT, why=why)

    def mix(self, trials: Sequence[Trial]) -> list[Trial]:
        base = self.least(())
        return mix(trials, self.task.goal, base=base, layers=self.layers, attempt=self.attempt_mix)

    def least(self, trials: Iterable[Trial]) -> float:
        """Return the gain of the best exact graph among the trials, or that of the base."""
        base = -_size(self.original.pack.model_path) if self.task.goal == "size" else 1.0
        exact = (each for each in trials if each.kept and each.kept.measure == PARITY)
        return max((gain(each, self.task.goal) for each in exact), default=base)

    def attempt_mix(self, plan: Plan) -> Trial | None:
        return None if self.task.all_mixed else self.attempt(plan)

    def layers(self, plan: Plan) -> int:
        graph = self.original.pack.model_path
        if len(plan.passes) > 1:
            before = replace(plan, passes=plan.passes[:-1])
            graph, _ = graph_of(self.original, before, self.journal)
        return len(self.original.rank_layers(graph))

    def judge(self, trials: Sequence[Trial]) -> None:
        """Judge the candidates of a runtime in sequence, until one loses too much."""
        least = self.least(trials)
        faster = [each for each in trials if gain(each, self.task.goal) > least]
        order = sequence(faster, self.task.goal)
        lost = ""
        for trial in order:
            judged = self.judge_one(trial, lost) if trial.verdict is Verdict.OPEN else trial
            if judged is not trial:
                self.journal.record(judged)
            if judged.verdict is Verdict.LOSES:
                lost = lost or judged.name
        names = {trial.name for trial in order}
        for trial in trials:
            if trial.verdict is Verdict.OPEN and trial.name not in names:
                why = "another graph is as fast and more accurate"
                self.journal.record(msgspec.structs.replace(trial, why=why))

    def judge_one(self, trial: Trial, lost: str) -> Trial:
        if lost:
            why = f"{lost}, which is more accurate, lost too much"
            return msgspec.structs.replace(trial, why=why)
        if self.task.over:
            return msgspec.structs.replace(trial, why=NO_TIME)
        self.say(f"{trial.name}: evaluating it{self.best()}")
        try:
            graph, _ = graph_of(self.original, trial.plan, self.journal)
            judged = self.original.judge(self.original.open(graph, trial.plan))
        except OnnxpackError as exc:
            return msgspec.structs.replace(trial, verdict=Verdict.FAILED, why=exc.message)
        right = judged.keeps(self.task.max_loss)
        return msgspec.structs.replace(
            trial,
            kept=judged.to_kept(self.task.max_loss),
            verdict=Verdict.RIGHT if right else Verdict.LOSES,
            why=judged.describe(self.task.max_loss),
        )

    def best(self) -> str:
        right = [each for each in self.journal.found.values() if each.verdict is Verdict.RIGHT]
        first = max(right, key=lambda each: gain(each, self.task.goal), default=None)
        if first is None or first.speed is None or first.speed.ratio <= 1:
            return ""
        return f" (best so far: {first.name}, {first.speed.ratio:.2f} ×)"


def graph_of(original: Original, plan: Plan, journal: Journal) -> tuple[Path, tuple[Step, ...]]:
    """Return the graph of a plan and its steps; each chain of passes is made only once.

    Raises:
        OptimizeError: a pass has nothing to do, or failed.
    """
    graph, steps = original.pack.model_path, list[Step]()
    for count, name in enumerate(plan.passes, 1):
        ranges = journal.beside(f"{plan.chain(count - 1)}.{name}.json")
        make = partial(_apply, original, name, graph, plan.spared_by(name), ranges)
        graph = journal.graph(plan.chain(count), make)
        steps.append(msgspec.json.decode((graph.parent / "step.json").read_bytes(), type=Step))
    return graph, tuple(steps)


def _apply(
    original: Original, name: str, source: Path, spared: int, ranges: Path, folder: Path
) -> None:
    rows = original.split.calibration if original.split else None
    layers = original.rank_layers(source)[:spared] if spared else []
    step = PASSES[name](source, folder / "model.onnx", rows, spared=layers, ranges=ranges)
    (folder / "step.json").write_bytes(msgspec.json.encode(step))


def time_beside(original: Original, name: str, predict: Run, batch: int, seconds: float) -> Speed:
    """Time a candidate and the base alternately, on the same rows."""
    feeds = original.feeds(batch)
    base, candidate = partial(original.base.run, feeds), partial(predict, feeds)
    return time_pair({"base": base, name: candidate}, seconds=seconds)


def _size(graph: Path) -> int:
    return sum(
        path.stat().st_size for path in graph.parent.iterdir() if path.name.startswith(graph.name)
    )
