"""The straight line of ``optimize``: read, search, judge, write the same pack with variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import msgspec
import numpy as np

from onnxpack.benchmark.inputs import dims_of
from onnxpack.benchmark.machine import features, load, processor, versions
from onnxpack.errors import OnnxpackError, OptimizeError, UsageError
from onnxpack.optimizer.data import Rows, Split, bind_rows, split
from onnxpack.optimizer.guard import check_enough, measure_distances
from onnxpack.optimizer.journal import Journal
from onnxpack.optimizer.original import CPU, Original
from onnxpack.optimizer.read_data import read_data
from onnxpack.optimizer.search import PARITY, Task, best_first, graph_of, search, time_beside
from onnxpack.optimizer.space import Goal, plans
from onnxpack.optimizer.trial import Speed, Trial, Verdict
from onnxpack.pack.amend import amend_pack
from onnxpack.pack.manifest import Distance, Manifest, Measurement, Recipe, Variant
from onnxpack.pack.model import Pack
from onnxpack.pack.read import MODEL, open_pack
from onnxpack.pack.write import GoldenData, Writer, check_destination, set_name, write_golden
from onnxpack.runtime.session import OPENVINO
from onnxpack.runtime.threads import read_budget

MAX_LOSS = 0.01
CALIBRATION = 100
"""Rows that calibrate, at most; and at most a quarter of all."""
FINAL_SECONDS = 2.0
"""About how long a graph that is taken is timed again beside the base."""
REPLAY_SECONDS = 0.05
"""What the replay at each load may take; its rows are as many as that allows."""
REPLAY_ROWS = 8


@dataclass(frozen=True, slots=True)
class Optimized:
    """A pack with variants, and how it came to them.

    Attributes:
        pack: that was written.
        variants: the names of what was taken, the fastest first; empty where nothing was better
            than what was given.
        trials: what became of each plan.
        goal: what was searched for.
        max_loss: what was allowed.
        notes: what the user should know.
    """

    pack: Pack
    variants: tuple[str, ...]
    trials: tuple[Trial, ...]
    goal: Goal
    max_loss: float
    notes: tuple[str, ...]


def optimize(
    pack: Pack | str | Path,
    to: str | Path,
    *,
    goal: Goal = "latency",
    max_loss: float = MAX_LOSS,
    data: str | Mapping[str, object] | None = None,
    metric: str = "",
    passes: Sequence[str] = (),
    threads: int | None = None,
    budget: float | None = None,
    seed: int = 0,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Optimized:
    """Write a pack again with the fastest graphs that are still right.

    A small space is searched: passes over the graph, such as fusion and int8, on ONNX Runtime and,
    where it is installed, OpenVINO. Everything is measured on this machine. What loses accuracy is
    judged on rows that did not calibrate it, and taken only if the lower bound of a 95 %
    confidence interval is within ``max_loss``. The proven graph stays in the pack, byte for byte.

    A search that was killed goes on where it was, if it is started again with the same arguments.

    Args:
        pack: a pack or its path, with golden data.
        to: the folder to write.
        goal: ``latency`` of one row, ``throughput`` of eight, or ``size`` of the file.
        max_loss: the share of answers that may be lost, of what :mod:`onnxpack.optimizer.guard`
            measures.
        data: rows, as ``--data`` names them, or arrays by input. Without rows only what keeps
            float32's own accuracy is tried.
        metric: how answers are judged; by default what fits the outputs.
        passes: a chain of passes to try, and nothing else.
        threads: of one operator; by default what affinity and quota allow.
        budget: seconds after which nothing more is begun.
        seed: of the split into rows that calibrate and rows that judge.
        force: replace a pack that stands at ``to``.
        progress: told of each phase, in a line.

    Raises:
        UsageError: the data does not fit the pack, there is no golden data, or no such pass.
        OptimizeError: there are too few rows to show so small a loss.
        PackError: the pack is malformed, or ``to`` is taken or cannot be written.
    """
    say = progress or _silent
    opened = pack if isinstance(pack, Pack) else open_pack(pack)
    destination = Path(to)
    check_destination(destination, force=force)
    manifest = _checked(opened)
    busy = load()
    rows = _read(data, manifest)
    parts = None if rows is None else split(rows, calibration=_calibrating(rows), seed=seed)
    if parts is not None:
        check_enough(len(parts.held_out), max_loss)
    count = threads or read_budget().threads
    original = Original(opened, parts, threads=count, metric=metric, say=say)
    task = Task(goal, max_loss, None if budget is None else monotonic() + budget)
    journal = Journal(
        destination.with_name(f".{destination.name}.search"),
        _key(opened, rows, (goal, max_loss, metric, list(passes), count, seed)),
    )
    if journal.resumed:
        say(f"going on with a search that was stopped: {len(journal.found)} plans are done")
    wanted = plans(goal, chain=passes, data=rows is not None)
    trials = search(original, wanted, task, journal, say)
    with TemporaryDirectory(prefix="onnxpack-") as work:
        taken, trials = _take(original, trials, task, journal, Path(work), say)
        named = msgspec.structs.replace(manifest, variants=manifest.variants | taken)
        folders = {name: Path(work, name) for name in taken}
        written = amend_pack(opened, destination, named, variants=folders, force=force)
    journal.remove()
    notes = tuple(_notes(rows, parts, task, trials, busy))
    return Optimized(written, tuple(taken), tuple(trials), goal, max_loss, notes)


def _checked(pack: Pack) -> Manifest:
    if pack.manifest is None or not pack.golden:
        raise UsageError(
            f"{pack.path} carries no golden data, which says whether a faster graph is right.",
            remedy=f"onnxpack export {pack.path} --sample SPEC -o DIR",
        )
    return pack.manifest


def _read(data: str | Mapping[str, object] | None, manifest: Manifest) -> Rows | None:
    if data is None:
        return None
    if isinstance(data, str):
        return read_data(data, manifest.signature, preprocess=manifest.preprocess)
    arrays = {name: np.asarray(value) for name, value in data.items()}
    return bind_rows(arrays, manifest.signature, "the data")


def _calibrating(rows: Rows) -> int:
    return min(CALIBRATION, len(rows) // 4)


def _key(pack: Pack, rows: Rows | None, options: Sequence[object]) -> dict[str, object]:
    return {
        "pack": pack.digest,
        "rows": None if rows is None else rows.digest(),
        "options": list(options),
        "processor": processor(),
        "versions": versions(("onnxpack", "onnxruntime", "openvino", "nncf", "onnxslim")),
    }


def _take(
    original: Original,
    trials: Sequence[Trial],
    task: Task,
    journal: Journal,
    work: Path,
    say: Callable[[str], None],
) -> tuple[dict[str, Variant], list[Trial]]:
    """Time again what was found right, and make variants of what is faster than the base."""
    taken: dict[str, Variant] = {}
    after = {trial.name: trial for trial in trials}
    right = [each for each in trials if each.verdict is Verdict.RIGHT]
    for trial in best_first(right, task.goal):
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
    if task.goal != "size":  # the last timing decides, as it does where the pack is opened
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
        raise OptimizeError(f"{trial.name} was not judged.")
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
        base=_base(original.pack),
        steps=steps,
        recipe=_recipe(trial, original),
        kept=trial.kept,
        speed=_measurement(speed, original, task),
        evidence=evidence,
    )
    return msgspec.structs.replace(trial, verdict=Verdict.KEPT), variant


def _base(pack: Pack) -> str:
    return _checked(pack).files[MODEL].sha256


def _recipe(trial: Trial, original: Original) -> Recipe:
    runtime = trial.plan.runtime
    return Recipe(
        runtime=runtime,
        runtime_version=versions([runtime]).get(runtime, ""),
        precision=trial.plan.precision if runtime == OPENVINO else "",
        threads=original.threads,
        processor=processor(),
        features=features(),
    )


def _measurement(speed: Speed, original: Original, task: Task) -> Measurement:
    return Measurement(
        dims=dims_of(original.signature, original.feeds(task.batch)),
        threads=original.threads,
        provider=CPU,
        processor=processor(),
        versions=versions(("onnxpack", "onnxruntime", "openvino")),
        timings=(speed.base, speed.timing),
    )


def _notes(
    rows: Rows | None, parts: Split | None, task: Task, trials: Sequence[Trial], busy: float
) -> list[str]:
    notes = []
    if rows is None:
        notes.append(
            "no --data was given, so only what keeps float32's own accuracy was tried; int8 and "
            "bfloat16 need rows that calibrate and judge them"
        )
    if parts is not None and parts.duplicates:
        notes.append(f"{parts.duplicates} rows were left out, since equal ones were there before")
    untried = sum(trial.verdict is Verdict.OPEN and trial.speed is None for trial in trials)
    if untried and task.over:
        notes.append(f"the budget was spent before {untried} of {len(trials)} plans were begun")
    if busy > 0.3:
        notes.append(f"the machine was busy ({busy:.1f} processes a core): speeds may be off")
    return notes


def _silent(_: str) -> None:
    return None
