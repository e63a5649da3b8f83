"""The original that candidates are compared with: proven graph, answers and golden data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from onnxpack.benchmark.inputs import BATCH, dims_of, resize
from onnxpack.comparison.distance import distance
from onnxpack.errors import FeedError, OptimizeError, PackError
from onnxpack.optimizer.answers import Answers, collect
from onnxpack.optimizer.confidence import share_bound
from onnxpack.optimizer.data import Rows, Split
from onnxpack.optimizer.guard import Judgement, judge
from onnxpack.optimizer.sensitive import rank_layers
from onnxpack.optimizer.space import Plan
from onnxpack.pack.model import Pack
from onnxpack.pack.read import MODEL
from onnxpack.runtime.choose import open_on
from onnxpack.runtime.model import Model
from onnxpack.runtime.openvino import open_openvino
from onnxpack.runtime.replay import Run, example_inputs, prove, read_example
from onnxpack.runtime.session import OPENVINO, run
from onnxpack.runtime.signature import agree, read_signature
from onnxpack.runtime.variants import CPU_NAME
from onnxpack.signature import Array, Signature

TOGETHER = 8
"""Rows of a feed that are judged together, in addition to one at a time."""


class Screened(NamedTuple):
    """How much a graph keeps on the rows that calibrated it.

    Attributes:
        measure: name of the measure; empty without such rows.
        value: the share that is kept.
        error: distance of its answers from the original's; of several outputs, the largest.
    """

    measure: str
    value: float
    error: float


class Original:
    """The pack that is optimised, with the rows that judge.

    Args:
        pack: a pack with a manifest and golden data.
        split: rows that calibrate and rows that judge; None without data.
        threads: threads of one operator.
        metric: measure of the answers, see :mod:`onnxpack.optimizer.guard`.
        say: called with a line of text for each phase.
    """

    def __init__(
        self,
        pack: Pack,
        split: Split | None,
        *,
        threads: int,
        metric: str,
        say: Callable[[str], None],
    ) -> None:
        self.pack = pack
        self.split = split
        self.threads = threads
        self.base = Model(pack, provider=CPU_NAME, variant="base", threads=threads)
        self.signature: Signature = self.base.signature
        self._metric = metric
        self._feeds: dict[int, dict[str, Array]] = {}
        self._ranked: dict[Path, list[str]] = {}
        self._say = say

    @property
    def base_digest(self) -> str:
        """The sha256 of the proven graph.

        Raises:
            PackError: the pack has no manifest.
        """
        if self.pack.manifest is None:
            raise PackError(f"{self.pack.path} is not a pack: it has no manifest.")
        return self.pack.manifest.files[MODEL].sha256

    def open(self, graph: Path, plan: Plan) -> Run:
        """Open a candidate's graph, and return a function that predicts with it.

        Raises:
            PackError: the graph cannot be loaded, or has another signature.
            ProviderError: the graph's runtime is not installed.
        """
        if plan.runtime == OPENVINO:
            session = open_openvino(
                graph, self.signature, precision=plan.precision, threads=self.threads
            )
            agree(self.signature, session.signature)
        else:
            session = open_on(graph, CPU_NAME, threads=self.threads).session
            agree(self.signature, read_signature(session))
        names = [spec.name for spec in self.signature.outputs]

        def predict(feed: Mapping[str, Array]) -> dict[str, Array]:
            values = run(session, names, feed, CPU_NAME)
            return dict(zip(names, values, strict=True))

        return predict

    def feeds(self, batch: int) -> dict[str, Array]:
        """Return inputs to time with: held-out rows if there are any, else the golden data."""
        if batch not in self._feeds:
            self._feeds[batch] = self._make_feeds(batch)
        return self._feeds[batch]

    def _make_feeds(self, batch: int) -> dict[str, Array]:
        arrays = example_inputs(self.pack, self.signature)
        dims = dims_of(self.signature, arrays)
        if self.split is not None and not self.split.held_out.whole:
            arrays = dict(self.split.held_out.arrays)
            dims |= dims_of(self.signature, arrays)
        return resize(self.signature, arrays, dims | ({BATCH: batch} if BATCH in dims else {}))

    def replays(self, predict: Run) -> str:
        """Return why a graph does not reproduce all golden sets; empty if it does."""
        found = prove(predict, self.pack, self.signature)
        return "" if found.ok else f"{found.errors[0].subject}: {found.errors[0].message}"

    def screen(self, predict: Run) -> Screened:
        """Judge a graph by the rows that calibrated it, which is quick but too optimistic.

        Without such rows the graph is assumed to keep everything.

        Raises:
            OptimizeError: the metric fails, or the answers do not fit.
        """
        if self.split is None or not len(self.split.calibration):
            return Screened("", 1.0, 0.0)
        expected, found = self._calibration_answers, collect(predict, self.split.calibration)
        judged = self._judge(expected, found)
        errors = [_distance(answer, found[name]) for name, answer in expected.items()]
        return Screened(judged.measure, judged.value, max(errors))

    def bound(self, value: float) -> float:
        """Return the lower bound for the case that this share of the rows that judge is kept."""
        count = len(self._rows)
        return share_bound(int(value * count), count)

    def judge(self, predict: Run) -> Judgement:
        """Judge a graph by held-out rows; see :func:`judge_rows`.

        Raises:
            OptimizeError: the metric fails, or the answers do not fit.
        """
        return judge_rows(predict, self._rows, partial(self._judge, self._held_out_answers))

    def misses_a_size(self, predict: Run) -> str:
        """Return why a graph fails at the sizes of a golden set; empty if it runs at all sizes.

        The distance from the original does not matter here: many golden sets are far from any data.
        """
        for golden in self.pack.golden:
            example = read_example(golden, self.signature)
            try:
                found = predict(example.feed)
            except (FeedError, PackError) as exc:
                return f"{golden.name}: {exc.message}"
            for name, wanted in example.expected.items():
                if found[name].shape != wanted.shape:
                    return (
                        f"{golden.name}: output {name!r} is {list(found[name].shape)}, expected "
                        f"{list(wanted.shape)}"
                    )
        return ""

    def check_measure(self) -> None:
        """Check the metric by judging the original's answers against themselves.

        Raises:
            OptimizeError: the metric fails, or reports a loss although the answers are equal.
            UsageError: the metric does not exist.
        """
        judged = self._judge(self._held_out_answers, self._held_out_answers)
        if judged.value < 1:
            raise OptimizeError(
                f"the metric {judged.measure} returns {judged.value:.3g} for two equal answers, "
                "expected 1.",
                remedy="return 1 for equal answers from the function of --metric module:fn",
            )

    def examples(self, count: int) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return held-out rows as one feed, with the original's answers."""
        rows = self._rows
        chosen = rows.take(np.arange(min(max(count, rows.batch), len(rows))))
        feed = dict(chosen.arrays) if rows.any_batch else next(chosen.feeds())
        return feed, self.base.run(feed)

    def rank_layers(self, graph: Path) -> list[str]:
        """Return the layers of a float32 graph, those that lose most in int8 first."""
        if graph not in self._ranked:
            feeds = self.split.calibration.feeds() if self.split else iter(())
            self._ranked[graph] = rank_layers(graph, feeds, threads=self.threads)
        return self._ranked[graph]

    @property
    def _rows(self) -> Rows:
        if self.split is None:
            raise ValueError("there are no rows for evaluation")
        return self.split.held_out

    def _judge(self, reference: Answers, found: Answers) -> Judgement:
        manifest = self.pack.manifest
        return judge(
            reference,
            found,
            labels=manifest.labels if manifest else None,
            unordered=self.pack.unordered,
            metric=self._metric,
        )

    @cached_property
    def _held_out_answers(self) -> Answers:
        self._say(f"running the pack on {len(self._rows)} rows for evaluation")
        return collect(self.base.run, self._rows)

    @cached_property
    def _calibration_answers(self) -> Answers:
        if self.split is None:
            raise ValueError("there are no rows for calibration")
        return collect(self.base.run, self.split.calibration)


def judge_rows(run: Run, rows: Rows, judge: Callable[[Answers], Judgement]) -> Judgement:
    """Judge a graph by rows, one at a time and several together; the lower result counts.

    Dynamic quantisation takes its scale from the whole batch, so the answer to a row depends on the
    other rows.
    """
    batches = (0, TOGETHER) if rows.any_batch else (0,)
    judged = [judge(collect(run, rows, batch=batch)) for batch in batches]
    return min(judged, key=lambda judgement: judgement.lower)


def _distance(expected: Array | Sequence[Array], found: Array | Sequence[Array]) -> float:
    if isinstance(expected, np.ndarray) and isinstance(found, np.ndarray):
        return distance(expected, found)
    pairs = zip(map(np.asarray, expected), map(np.asarray, found), strict=True)
    return max((distance(*pair) for pair in pairs), default=0.0)
