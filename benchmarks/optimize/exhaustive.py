"""Every plan of the search's space made, timed and judged: what the search is compared with.

The space is the same as that of ``optimize``: all chains of passes on both runtimes, and every int8
graph with its most sensitive layers left alone. Nothing is screened, pruned or skipped.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cases import Arrays

from onnxpack.errors import OnnxpackError
from onnxpack.optimizer.data import bind_rows, split
from onnxpack.optimizer.journal import Journal
from onnxpack.optimizer.mix import mixes
from onnxpack.optimizer.optimize import CALIBRATION
from onnxpack.optimizer.original import Original
from onnxpack.optimizer.search import SECONDS, graph_of, time_beside
from onnxpack.optimizer.space import Plan, plans
from onnxpack.pack.model import Pack
from onnxpack.pack.read import open_pack
from onnxpack.runtime.replay import Run


@dataclass(frozen=True)
class Judged:
    """One plan, made, timed and judged.

    Attributes:
        ratio: how many times as fast as the base it is.
        exact: whether it answers all golden sets within the pack's tolerance.
        value: what it keeps on held-out rows, between 0 and 1.
        lower: the lower bound of its 95 % confidence interval.
        seconds: what all this took.
        failure: why it could not be made.
    """

    name: str
    plan: Plan
    ratio: float = 0.0
    exact: bool = False
    value: float = 0.0
    lower: float = 0.0
    size: int = 0
    seconds: float = 0.0
    failure: str = ""

    def is_right(self, max_loss: float) -> bool:
        """Whether the search could take it."""
        return not self.failure and (self.exact or self.lower >= 1 - max_loss)


class Exhaustive:
    """The whole space of one pack.

    Args:
        pack: with golden data.
        rows: what ``optimize`` is given, so the split is the same.
        threads: of one operator.
        metric: how answers are judged.
        work: a folder for graphs.
    """

    def __init__(self, pack: Path, rows: Arrays, *, threads: int, metric: str, work: Path) -> None:
        self.pack: Pack = open_pack(pack)
        assert self.pack.manifest is not None
        bound = bind_rows(rows, self.pack.manifest.signature, "rows")
        parts = split(bound, calibration=min(CALIBRATION, len(bound) // 4))
        self._journal = Journal(work, {})
        self.original = Original(
            self.pack, parts, threads=threads, metric=metric, say=partial(print, file=sys.stderr)
        )

    def run(self, *, mixes: bool) -> list[Judged]:
        """Judge every plan, with or without those that leave layers in float32."""
        found = [self._judge(plan) for plan in plans("latency", data=True)]
        if mixes:
            found += [self._judge(plan) for plan in self._mixed(found)]
        return found

    def open(self, plan: Plan) -> Run:
        """Open the graph of a plan."""
        graph, _ = graph_of(self.original, plan, self._journal)
        return self.original.open(graph, plan)

    def _mixed(self, found: Iterable[Judged]) -> Iterator[Plan]:
        for each in found:
            if not each.plan.mixes or each.failure:
                continue
            graph = self.pack.model_path
            if len(each.plan.passes) > 1:
                before = replace(each.plan, passes=each.plan.passes[:-1])
                graph, _ = graph_of(self.original, before, self._journal)
            for way in mixes(each.plan, len(self.original.rank_layers(graph))):
                yield from way

    def _judge(self, plan: Plan) -> Judged:
        begun = time.perf_counter()
        try:
            judged = self._measure(plan)
        except OnnxpackError as exc:
            judged = Judged(plan.name, plan, failure=exc.message)
        judged = replace(judged, seconds=time.perf_counter() - begun)
        print(f"{plan.name}: {judged.ratio:.2f} × at {judged.lower:.3f}, "
              f"{judged.seconds:.0f} s {judged.failure}", file=sys.stderr)  # fmt: skip
        return judged

    def _measure(self, plan: Plan) -> Judged:
        graph, _ = graph_of(self.original, plan, self._journal)
        predict = self.original.open(graph, plan)
        predict(self.original.feeds(1))
        speed = time_beside(self.original, plan.name, predict, 1, SECONDS)
        exact = plan.exact and not self.original.replays(predict)
        judgement = self.original.judge(predict)
        return Judged(
            plan.name,
            plan,
            ratio=speed.ratio,
            exact=exact,
            value=judgement.value,
            lower=judgement.lower,
            size=sum(path.stat().st_size for path in graph.parent.glob("model.onnx*")),
        )
