"""Audit variants made by other tools: judge them against their float original."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from onnxpack.errors import FeedError, PackError, UsageError
from onnxpack.optimizer.answers import Answers, collect
from onnxpack.optimizer.data import Rows
from onnxpack.optimizer.guard import Judgement, check_enough, judge
from onnxpack.optimizer.original import judge_rows
from onnxpack.optimizer.read_data import read_rows
from onnxpack.optimizer.speed import Speed, time_pair
from onnxpack.pack.external import check_external
from onnxpack.pack.manifest import Kept
from onnxpack.pack.read import open_pack
from onnxpack.runtime.model import Model
from onnxpack.runtime.replay import Run
from onnxpack.runtime.variants import CPU_NAME
from onnxpack.signature import Array, TensorSpec

HALVES = ("float16", "float32")
SECONDS = 1.0
"""Seconds that each graph and the reference are timed, approximately."""


class Finding(StrEnum):
    """The verdict on an audited graph."""

    RIGHT = "right"
    NO_FASTER = "no faster"
    NOISY = "noisy"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Audited:
    """The result of auditing one graph of a folder.

    Attributes:
        path: path of the graph.
        finding: ``right``; ``no faster``: right, but not faster than the reference; ``noisy``: it
            loses more than is allowed; ``broken``: it cannot be opened or run, or has another
            signature.
        size: bytes, including the weights beside it.
        speed: speed relative to the reference; None if the graph cannot be run.
        kept: how much of the answers is kept; None if the graph cannot be judged.
        why: the figures, or what is broken.
    """

    path: Path
    finding: Finding
    size: int
    speed: Speed | None = None
    kept: Kept | None = None
    why: str = ""


def audit(
    folder: str | Path,
    reference: str | Path,
    data: str | Mapping[str, object],
    *,
    max_loss: float = 0.01,
    metric: str = "",
    threads: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[Audited, ...]:
    """Judge every ONNX graph of a folder against its float original.

    Args:
        folder: folder of graphs, which is searched recursively.
        reference: the float original: a pack, or an ``.onnx`` file.
        data: rows to judge with: the text of ``--data``, or arrays by input.
        max_loss: share of answers that may be lost, with 95 % confidence.
        metric: measure of the answers; by default chosen by the outputs.
        threads: threads of one operator.
        progress: called with a line of text for each graph.

    Returns:
        The result of each graph.

    Raises:
        UsageError: the folder has no graph, or the data does not fit.
        OptimizeError: there are too few rows, or the metric fails.
        PackError: the reference cannot be opened.
    """
    say = progress or _silent
    model = Model(open_pack(reference), provider=CPU_NAME, variant="base", threads=threads)
    graphs = find_graphs(Path(folder), model.pack.model_path)
    rows = read_rows(data, model.signature, model.preprocess)
    check_enough(len(rows), max_loss)
    say(f"running the reference on {len(rows)} rows")
    known = _Reference(model, rows, collect(model.run, rows), max_loss, metric)
    # Otherwise a failing metric would be reported for each graph.
    known.judge(known.answers)
    found = []
    for path in graphs:
        say(f"judging {path}")
        found.append(_audit(path, known))
    return tuple(found)


@dataclass(frozen=True)
class _Reference:
    model: Model
    rows: Rows
    answers: Answers
    max_loss: float
    metric: str

    def judge(self, found: Answers) -> Judgement:
        return judge(
            self.answers,
            found,
            labels=self.model.labels,
            unordered=self.model.pack.unordered,
            metric=self.metric,
        )


def _audit(path: Path, reference: _Reference) -> Audited:
    size = path.stat().st_size if path.is_file() else 0
    try:
        size += _size_beside(path)
        run = _open(path, reference.model)
        judged = judge_rows(run, reference.rows, reference.judge)
        speed = _time(reference, run)
    except (FeedError, PackError) as exc:
        return Audited(path, Finding.BROKEN, size, why=exc.message)
    finding = Finding.RIGHT if speed.interval[0] > 1 else Finding.NO_FASTER
    if not judged.keeps(reference.max_loss):
        finding = Finding.NOISY
    why = judged.describe(reference.max_loss)
    return Audited(path, finding, size, speed, judged.to_kept(reference.max_loss), why)


def _size_beside(path: Path) -> int:
    """The bytes of the weights that lie beside a graph.

    Raises:
        PackError: the graph cannot be read, or a file of weights is missing.
    """
    names = {reference.location for reference in check_external(path)}
    return sum((path.parent / name).stat().st_size for name in names)


def _open(path: Path, reference: Model) -> Run:
    """Open a graph, and adapt its inputs and outputs to the reference's dtypes.

    A float16 graph often has float16 inputs and outputs too; this is accepted.

    Raises:
        PackError: the graph cannot be opened, or has other inputs or outputs.
    """
    model = Model(path, provider=CPU_NAME, threads=reference.threads)
    for side in ("inputs", "outputs"):
        wanted = {spec.name: spec for spec in getattr(reference.signature, side)}
        found = {spec.name: spec for spec in getattr(model.signature, side)}
        for name, spec in wanted.items():
            other = found.get(name)
            if other is None or not {spec.dtype, other.dtype} <= {spec.dtype, *HALVES}:
                raise PackError(
                    f"its {side} are {', '.join(map(_named, found.values()))}; expected "
                    f"{', '.join(map(_named, wanted.values()))}."
                )
        if len(found) > len(wanted):
            raise PackError(f"its {side} are {', '.join(found)}; expected {', '.join(wanted)}.")
    taken = {spec.name: spec.numpy_dtype for spec in model.signature.inputs}
    given = {spec.name: spec.numpy_dtype for spec in reference.signature.outputs}

    def run(feed: Mapping[str, Array]) -> dict[str, Array]:
        answer = model.run({name: array.astype(taken[name]) for name, array in feed.items()})
        return {name: array.astype(given[name]) for name, array in answer.items()}

    return run


def _named(spec: TensorSpec) -> str:
    return f"{spec.name}: {spec}"


def _time(reference: _Reference, run: Run) -> Speed:
    feed = next(reference.rows.take([0] * reference.rows.batch).feeds())
    calls = {"reference": partial(reference.model.run, feed), "graph": partial(run, feed)}
    return time_pair(calls, seconds=SECONDS)


def _silent(_: str) -> None:
    return None


def find_graphs(folder: Path, reference: Path) -> list[Path]:
    """Return the graphs of a folder, except the reference itself.

    Raises:
        UsageError: the folder has no other graph.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.")
    same = reference.resolve()
    graphs = sorted(path for path in folder.rglob("*.onnx") if path.resolve() != same)
    if not graphs:
        raise UsageError(f"{folder} has no graph except the reference, expected .onnx files.")
    return graphs
