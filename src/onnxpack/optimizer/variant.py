"""Turn a graph that was found right into a variant of the pack, with its evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from onnxpack.benchmark.inputs import dims_of
from onnxpack.benchmark.machine import features, processor
from onnxpack.errors import OnnxpackError, OptimizeError
from onnxpack.optimizer.guard import measure_distances
from onnxpack.optimizer.journal import Journal
from onnxpack.optimizer.original import Original
from onnxpack.optimizer.search import PARITY, Task, graph_of, time_beside
from onnxpack.optimizer.sequence import gain
from onnxpack.optimizer.speed import Speed
from onnxpack.optimizer.trial import Trial, Verdict
from onnxpack.pack.manifest import Distance, Measurement, Recipe, Variant
from onnxpack.pack.write import GoldenData, Writer, set_name, write_golden
from onnxpack.runtime.doctor import installed_versions
from onnxpack.runtime.session import ONNXRUNTIME, OPENVINO
from onnxpack.runtime.variants import CPU_NAME

FINAL_SECONDS = 2.0
"""Seconds, approximately, that a graph that is taken is timed again with the base."""
REPLAY_SECONDS = 0.05
"""Seconds that the replay at each load may take; they limit the number of rows."""
REPLAY_ROWS = 8


def take(
    original: Original,
    trials: Sequence[Trial],
    task: Task,
    journal: Journal,
    work: Path,
    say: Callable[[str], None],
) -> tuple[dict[str, Variant], list[Trial]]:
    """Time right graphs again, and make variants of those that are faster than the base.

    The best graph is taken. If it needs OpenVINO, the best graph for ONNX Runtime is taken too,
    because images contain no other runtime.
    """
    taken: dict[str, Variant] = {}
    after = {trial.name: trial for trial in trials}
    right = [each for each in trials if each.verdict is Verdict.RIGHT]
    runtimes: set[str] = set()
    for trial in sorted(right, key=lambda each: gain(each, task.goal), reverse=True):
        if ONNXRUNTIME in runtimes:
            break
        if trial.plan.runtime in runtimes:
            continue
        say(f"{trial.name}: timing it once more")
        try:
            last, variant = _finish(original, trial, task, journal, work / trial.name)
        except OnnxpackError as exc:
            last, variant = (
                msgspec.structs.replace(trial, verdict=Verdict.FAILED, why=exc.message),
                None,
            )
        after[trial.name] = last
        if variant is not None:
            taken[trial.name] = variant
            runtimes.add(trial.plan.runtime)
    if task.goal != "size":  # the last timing decides, as when the pack is opened
        taken = dict(sorted(taken.items(), key=lambda each: -each[1].ratio))
    return taken, list(after.values())


def _finish(
    original: Original, trial: Trial, task: Task, journal: Journal, folder: Path
) -> tuple[Trial, Variant | None]:
    graph, steps = graph_of(original, trial.plan, journal)
    predict = original.open(graph, trial.plan)
    speed = time_beside(original, trial.name, predict, task.batch, FINAL_SECONDS)
    trial = msgspec.structs.replace(trial, speed=speed)
    if speed.interval[0] <= 1 and task.goal != "size":
        return msgspec.structs.replace(trial, verdict=Verdict.SLOWER), None
    if trial.kept is None:
        raise OptimizeError(f"{trial.name} was not evaluated.")
    folder.mkdir()
    writer = Writer(folder)
    writer.copy_graph(graph)
    evidence: tuple[Distance, ...] = ()
    if trial.kept.measure != PARITY:
        rows = max(1, min(REPLAY_ROWS, int(REPLAY_SECONDS / speed.timing.seconds)))
        feed, answer = original.examples(rows)
        evidence = measure_distances(set_name(0), answer, predict(feed))
        write_golden(writer, 0, original.signature, GoldenData(feed, answer))
    variant = Variant(
        base=original.base_digest,
        steps=steps,
        recipe=_recipe(trial, original),
        kept=trial.kept,
        speed=_measurement(speed, original, task),
        evidence=evidence,
    )
    return msgspec.structs.replace(trial, verdict=Verdict.KEPT), variant


def _recipe(trial: Trial, original: Original) -> Recipe:
    runtime = trial.plan.runtime
    return Recipe(
        runtime=runtime,
        runtime_version=installed_versions([runtime]).get(runtime, ""),
        precision=trial.plan.precision if runtime == OPENVINO else "",
        threads=original.threads,
        processor=processor(),
        features=features(),
    )


def _measurement(speed: Speed, original: Original, task: Task) -> Measurement:
    return Measurement(
        dims=dims_of(original.signature, original.feeds(task.batch)),
        threads=original.threads,
        provider=CPU_NAME,
        processor=processor(),
        versions=installed_versions(("onnxpack", "onnxruntime", "openvino")),
        timings=(speed.base, speed.timing),
    )
