"""The main function of ``optimize``: read, search, judge, and write the pack with variants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import msgspec

from onnxpack.benchmark.machine import BUSY, load, processor
from onnxpack.errors import UsageError
from onnxpack.optimizer.data import Rows, Split, split
from onnxpack.optimizer.guard import check_enough
from onnxpack.optimizer.journal import Journal
from onnxpack.optimizer.original import Original
from onnxpack.optimizer.read_data import read_rows
from onnxpack.optimizer.search import Task, search
from onnxpack.optimizer.space import Goal, plans
from onnxpack.optimizer.trial import Trial
from onnxpack.optimizer.variant import take
from onnxpack.pack.amend import amend_pack
from onnxpack.pack.manifest import Manifest
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.pack.write import check_destination
from onnxpack.runtime.doctor import installed_versions
from onnxpack.runtime.threads import read_budget

MAX_LOSS = 0.01
MAKING, MIXING = 0.5, 0.75
"""Shares of the budget after which no new plan, and no new mix, is begun.

The rest of the budget is for judging them.
"""
CALIBRATION = 100
"""Most rows that calibrate; also at most a quarter of all rows."""


@dataclass(frozen=True, slots=True)
class Optimized:
    """A pack with variants, and the results of the search for them.

    Attributes:
        pack: the pack that was written.
        variants: names of the variants that were taken, the fastest first; empty if nothing was
            better than the given pack.
        trials: result of each plan.
        goal: goal of the search.
        max_loss: allowed loss.
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
    if it is installed, OpenVINO. Everything is measured on this machine. A graph that loses
    accuracy is judged on rows that did not calibrate it, and is taken only if the lower bound of a
    95 % confidence interval is within ``max_loss``. The proven graph stays in the pack, byte for
    byte.

    A search that was killed continues if it is started again with the same arguments.

    Args:
        pack: a pack or its path, with golden data.
        to: folder to write.
        goal: ``latency`` of one row, ``throughput`` of eight, or ``size`` of the file.
        max_loss: share of answers that may be lost, by the measures of
            :mod:`onnxpack.optimizer.guard`.
        data: rows: the text of ``--data``, or arrays by input. Without rows, only passes that keep
            float32's own accuracy are tried.
        metric: measure of the answers; by default chosen by the outputs.
        passes: a chain of passes to try instead of the whole space.
        threads: threads of one operator; by default what CPU affinity and quota allow.
        budget: seconds after which nothing new is begun.
        seed: seed of the split into rows that calibrate and rows that judge.
        force: replace an existing pack at ``to``.
        progress: called with a line of text for each phase.

    Raises:
        UsageError: ``to`` is within the pack, the data does not fit the pack, the golden data or a
            pass does not exist, or a chain of passes needs data and none is given.
        OptimizeError: there are too few rows to show so small a loss.
        PackError: the pack is malformed, or ``to`` exists or cannot be written.
    """
    say = progress or _silent
    opened = pack if isinstance(pack, Pack) else open_pack(pack)
    destination = Path(to)
    check_destination(destination, force=force)
    if opened.path.resolve() in destination.resolve().parents:
        raise UsageError(
            f"{destination} is inside the pack {opened.path}, which is not modified.",
            remedy="choose a folder outside of the pack: -o DIR",
        )
    wanted = list(plans(goal, chain=passes, data=data is not None))
    manifest = _checked(opened)
    busy = load()
    rows = None if data is None else read_rows(data, manifest.signature, manifest.preprocess)
    parts = None if rows is None else split(rows, calibration=_calibrating(rows), seed=seed)
    count = threads or read_budget().threads
    original = Original(opened, parts, threads=count, metric=metric, say=say)
    if parts is not None:
        check_enough(
            len(parts.held_out), max_loss, besides=", in addition to those for calibration"
        )
        original.check_measure()
    task = _task(goal, max_loss, budget)
    journal = Journal(
        destination.with_name(f".{destination.name}.search"),
        _key(opened, rows, (goal, max_loss, metric, list(passes), count, seed)),
    )
    if journal.resumed:
        say(f"continuing a search that was stopped: {len(journal.found)} plans are done")
    trials = search(original, wanted, task, journal, say)
    with TemporaryDirectory(prefix="onnxpack-") as work:
        taken, trials = take(original, trials, task, journal, Path(work), say)
        named = msgspec.structs.replace(
            manifest, variants=manifest.variants | taken, derived_from=opened.digest
        )
        folders = {name: Path(work, name) for name in taken}
        written = amend_pack(opened, destination, named, variants=folders, force=force)
    if not any(trial.unfinished for trial in trials):
        journal.remove()
    notes = tuple(_notes(rows, parts, trials, busy))
    return Optimized(written, tuple(taken), tuple(trials), goal, max_loss, notes)


def _task(goal: Goal, max_loss: float, budget: float | None) -> Task:
    if budget is None:
        return Task(goal, max_loss)
    now = monotonic()
    return Task(goal, max_loss, now + budget, now + MAKING * budget, now + MIXING * budget)


def _checked(pack: Pack) -> Manifest:
    if pack.manifest is None or not pack.golden:
        raise UsageError(
            f"{pack.path} has no golden data, which shows whether a faster graph is right.",
            remedy=f"onnxpack export {pack.path} --sample SPEC -o DIR",
        )
    return pack.manifest


def _calibrating(rows: Rows) -> int:
    return min(CALIBRATION, len(rows) // 4)


def _key(pack: Pack, rows: Rows | None, options: Sequence[object]) -> dict[str, object]:
    return {
        "pack": pack.digest,
        "rows": None if rows is None else rows.digest(),
        "options": list(options),
        "processor": processor(),
        "versions": installed_versions(("onnxpack", "onnxruntime", "openvino", "nncf", "onnxslim")),
    }


def _notes(
    rows: Rows | None, parts: Split | None, trials: Sequence[Trial], busy: float
) -> list[str]:
    notes = []
    if rows is None:
        notes.append(
            "no --data was given, so only passes that keep float32 accuracy were tried; int8 "
            "and bfloat16 need rows for calibration and evaluation"
        )
    if parts is not None and parts.duplicates:
        notes.append(f"{parts.duplicates} rows were left out because they are duplicates")
    untried = sum(trial.unfinished for trial in trials)
    if untried:
        notes.append(
            f"{untried} of {len(trials)} plans were not started or not evaluated; the same call "
            "with force (--force) continues with them"
        )
    if busy > BUSY:
        notes.append(f"the machine was busy ({busy:.1f} processes a core): speeds may be off")
    return notes


def _silent(_: str) -> None:
    return None
