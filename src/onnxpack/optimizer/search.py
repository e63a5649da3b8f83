"""The search: make and time every plan, then judge the fast ones until one is right.

Making and timing take seconds; judging asks a graph about every held-out row. So candidates are
judged from the fastest down, and what is slower than one that was found right is not judged.
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
from onnxpack.optimizer.original import Original
from onnxpack.optimizer.sensitive import how_many
from onnxpack.optimizer.space import PASSES, Goal, Plan
from onnxpack.optimizer.speed import Speed, time_pair
from onnxpack.optimizer.trial import Trial, Verdict
from onnxpack.pack.manifest import Kept, Step
from onnxpack.runtime.replay import Run
from onnxpack.runtime.session import ONNXRUNTIME

SECONDS = 0.6
"""About how long a candidate and the base are timed each; slow models take longer."""
THROUGHPUT = 8
"""Rows of a call where throughput is the goal."""
PARITY = "parity"
"""The measure of a graph that answers all golden sets of the pack within its tolerance."""
SLACK = 0.02
"""A candidate that loses more than is allowed, and this, on the rows that calibrated it is not
judged on others."""


@dataclass(frozen=True)
class Task:
    """What is searched for.

    Attributes:
        goal: ``latency`` of one row, ``throughput`` of several, or ``size`` of the file.
        max_loss: what may be lost, with 95 % confidence.
        deadline: when nothing more is begun, by ``time.monotonic``; None for never.
        last_made: when no further graph is made, so that time is left to judge those that were.
    """

    goal: Goal
    max_loss: float
    deadline: float | None = None
    last_made: float | None = None

    @property
    def batch(self) -> int:
        """The rows of a call that is timed."""
        return THROUGHPUT if self.goal == "throughput" else 1

    @property
    def over(self) -> bool:
        """Whether the budget is spent."""
        return self.deadline is not None and monotonic() >= self.deadline

    @property
    def all_made(self) -> bool:
        """Whether what is left of the budget is for judging."""
        return self.last_made is not None and monotonic() >= self.last_made


def search(
    original: Original,
    plans: Iterable[Plan],
    task: Task,
    journal: Journal,
    say: Callable[[str], None],
) -> list[Trial]:
    """Try every plan, cheap ones first, then judge the fast ones; see the module.

    Returns:
        What became of each plan, in the order in which they were tried. Ctrl-C ends the search,
        not the work: what was found until then is returned.
    """
    wanted = list(plans)
    try:
        for plan in wanted:
            if not task.all_made and plan.name not in journal.found:
                journal.record(_make(original, plan, task, journal, say))
        _judge_the_fast(original, wanted, task, journal, say)
        wanted += _mix(original, wanted, task, journal, say)
    except KeyboardInterrupt:
        say("stopped: what was found so far is taken")
    return [_explained(journal.found.get(plan.name, Trial(plan=plan))) for plan in wanted]


def _explained(trial: Trial) -> Trial:
    """Say of a plan that was not judged why it was not."""
    if trial.verdict is not Verdict.OPEN or trial.why:
        return trial
    why = "slower than what was taken, or no time was left" if trial.speed else "not begun"
    return msgspec.structs.replace(trial, why=why)


def best_first(trials: Iterable[Trial], goal: Goal) -> list[Trial]:
    """Those that were timed and could be taken, the most wanted first."""

    def rank(trial: Trial) -> float:
        return trial.size if goal == "size" else -(trial.speed.ratio if trial.speed else 0.0)

    open_ = (Verdict.OPEN, Verdict.RIGHT, Verdict.KEPT)
    return sorted((each for each in trials if each.speed and each.verdict in open_), key=rank)


def graph_of(original: Original, plan: Plan, journal: Journal) -> tuple[Path, tuple[Step, ...]]:
    """Return the graph of a plan, with what was done to it; each chain of passes is made once.

    Raises:
        OptimizeError: a pass has nothing to do, or failed.
    """
    graph, steps = original.pack.model_path, list[Step]()
    for count in range(1, len(plan.passes) + 1):
        spared = plan.spared if count == len(plan.passes) else 0
        make = partial(_apply, original, plan.passes[count - 1], graph, spared)
        graph = journal.graph(plan.chain(count), make)
        steps.append(msgspec.json.decode((graph.parent / "step.json").read_bytes(), type=Step))
    return graph, tuple(steps)


def _apply(original: Original, name: str, source: Path, spared: int, folder: Path) -> None:
    rows = original.split.calibration if original.split else None
    layers = original.rank_layers(source)[:spared] if spared else []
    step = PASSES[name](source, folder / "model.onnx", rows, layers)
    (folder / "step.json").write_bytes(msgspec.json.encode(step))


def _make(
    original: Original, plan: Plan, task: Task, journal: Journal, say: Callable[[str], None]
) -> Trial:
    say(f"{plan.name}: making it{_best(journal, task)}")
    trial = Trial(plan=plan)
    try:
        graph, steps = graph_of(original, plan, journal)
        trial = msgspec.structs.replace(trial, steps=steps, size=_size(graph))
        predict = original.open(graph, plan)
        say(f"{plan.name}: timing it{_best(journal, task)}")
        feeds = original.feeds(task.batch)
        predict(feeds)
        speed = time_beside(original, plan.name, predict, task.batch, SECONDS)
    except OnnxpackError as exc:
        return msgspec.structs.replace(trial, verdict=Verdict.FAILED, why=exc.message)
    trial = msgspec.structs.replace(trial, speed=speed)
    if task.goal != "size" and speed.interval[1] < 1:
        return msgspec.structs.replace(trial, verdict=Verdict.SLOWER)
    return trial


def time_beside(original: Original, name: str, predict: Run, batch: int, seconds: float) -> Speed:
    """Time a candidate and the base in turn, on the same rows."""
    feeds = original.feeds(batch)
    base, candidate = partial(original.base.run, feeds), partial(predict, feeds)
    return time_pair({"base": base, name: candidate}, seconds=seconds)


def _judge_the_fast(
    original: Original,
    plans: Sequence[Plan],
    task: Task,
    journal: Journal,
    say: Callable[[str], None],
) -> None:
    trials = [journal.found[plan.name] for plan in plans if plan.name in journal.found]
    found: set[str] = set()
    for each in best_first(trials, task.goal):
        if task.over or ONNXRUNTIME in found:
            return
        # Where OpenVINO is the fastest, ONNX Runtime's fastest is wanted too: images have no other.
        if found and each.plan.runtime != ONNXRUNTIME:
            continue
        if each.verdict is Verdict.OPEN:
            say(f"{each.name}: judging it{_best(journal, task)}")
            journal.record(_judge(original, each, task, journal))
        if journal.found[each.name].verdict is Verdict.RIGHT:
            found.add(each.plan.runtime)


def _mix(
    original: Original,
    plans: Sequence[Plan],
    task: Task,
    journal: Journal,
    say: Callable[[str], None],
) -> list[Plan]:
    """Leave sensitive layers of the best int8 graph in float32, until what is left is right.

    Where a graph that was found right is as fast, nothing is gained, and it is not done.
    """
    found = [journal.found[plan.name] for plan in plans if plan.name in journal.found]
    tried: list[Plan] = []
    for runtime in dict.fromkeys(plan.runtime for plan in plans):
        start = _to_be_mixed([each for each in found if each.plan.runtime == runtime], task)
        if start is None:
            continue
        graph = original.pack.model_path
        if len(start.passes) > 1:
            graph, _ = graph_of(original, replace(start, passes=start.passes[:-1]), journal)
        for count in how_many(len(original.rank_layers(graph))):
            plan = replace(start, spared=count)
            if task.over:
                return tried
            tried.append(plan)
            if plan.name not in journal.found:
                journal.record(_make(original, plan, task, journal, say))
            trial = journal.found[plan.name]
            if trial.verdict is Verdict.OPEN:
                say(f"{plan.name}: judging it{_best(journal, task)}")
                trial = _judge(original, trial, task, journal)
                journal.record(trial)
            if trial.verdict in (Verdict.RIGHT, Verdict.SLOWER):
                break
    return tried


def _to_be_mixed(trials: Sequence[Trial], task: Task) -> Plan | None:
    """The int8 graph that keeps most, if it is faster than what was found right."""
    ratios = [each.speed.ratio for each in trials if each.speed and each.verdict is Verdict.RIGHT]
    best = max(ratios, default=1.0)
    wrong = [
        each
        for each in trials
        if each.plan.mixes
        and each.verdict in (Verdict.LOSES, Verdict.OPEN)
        and each.speed
        and each.speed.ratio > best
        and each.screened is not None
    ]
    if not wrong or task.goal == "size":
        return None
    return max(wrong, key=lambda each: each.screened or 0.0).plan


def _judge(original: Original, trial: Trial, task: Task, journal: Journal) -> Trial:
    try:
        graph, _ = graph_of(original, trial.plan, journal)
        predict = original.open(graph, trial.plan)
        if trial.plan.exact:
            exact = _judge_exact(original, predict, trial, task)
            # Another order of the same sums may miss the tolerance by a rounding: rows can tell.
            if exact.verdict is Verdict.RIGHT or original.split is None:
                return exact
        fault = original.misses_a_size(predict)
        if fault:
            return msgspec.structs.replace(trial, verdict=Verdict.FAILED, why=fault)
        screened = original.screen(predict)
        if screened and screened.value < 1 - task.max_loss - SLACK:
            return msgspec.structs.replace(
                trial,
                screened=screened.value,
                verdict=Verdict.LOSES,
                why=f"{screened.measure} {screened.value:.3f} on the rows that calibrated it",
            )
        judged = original.judge(predict)
    except OnnxpackError as exc:
        return msgspec.structs.replace(trial, verdict=Verdict.FAILED, why=exc.message)
    return msgspec.structs.replace(
        trial,
        screened=screened.value if screened else None,
        kept=judged.to_kept(task.max_loss),
        verdict=Verdict.RIGHT if judged.keeps(task.max_loss) else Verdict.LOSES,
        why=judged.describe(task.max_loss),
    )


def _judge_exact(original: Original, predict: Run, trial: Trial, task: Task) -> Trial:
    fault = original.replays(predict)
    if fault:
        return msgspec.structs.replace(trial, verdict=Verdict.LOSES, why=fault)
    sets = len(original.pack.golden)
    kept = Kept(measure=PARITY, value=1.0, lower=1.0, samples=sets, max_loss=task.max_loss)
    return msgspec.structs.replace(
        trial, kept=kept, verdict=Verdict.RIGHT, why=f"equal in all {sets} golden sets"
    )


def _best(journal: Journal, task: Task) -> str:
    right = [each for each in journal.found.values() if each.verdict is Verdict.RIGHT]
    ranked = best_first(right, task.goal)
    if not ranked or ranked[0].speed is None:
        return ""
    return f" (best so far: {ranked[0].name}, {ranked[0].speed.ratio:.2f} ×)"


def _size(graph: Path) -> int:
    return sum(
        path.stat().st_size for path in graph.parent.iterdir() if path.name.startswith(graph.name)
    )
