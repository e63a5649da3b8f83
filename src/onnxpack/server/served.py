"""One version of one model being served: opened, proven, warmed up, and asked."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from onnxpack.detections import compare_all
from onnxpack.pack.model import Pack
from onnxpack.pack.tensor import read_tensor
from onnxpack.report import Report
from onnxpack.runtime.model import Model
from onnxpack.runtime.threads import read_budget
from onnxpack.server.batcher import Batcher
from onnxpack.server.refusal import Refusal
from onnxpack.server.settings import Settings
from onnxpack.server.stats import Stats
from onnxpack.signature import Array, Signature
from onnxpack.tolerance import Tolerance

INLINE_ROWS = 8
"""A request of more rows leaves the event loop even where one row is faster than a switch."""
MEASURED = 5


@dataclass(frozen=True, slots=True)
class Policy:
    """How requests meet the sessions, as measured at warm-up.

    Attributes:
        inline: small requests run in the event loop, since a thread switch takes longer.
        batched: requests run together, since rows were shown not to depend on each other.
        reason: why requests do not run together, where they do not.
    """

    inline: bool
    batched: bool
    reason: str = ""


class Served:
    """A model with its queue.

    Args:
        pack: what to serve.
        settings: of the server.
    """

    def __init__(self, pack: Pack, settings: Settings) -> None:
        sessions = settings.sessions
        threads = settings.threads or max(1, read_budget().threads // sessions)
        self.models = [
            Model(pack, provider=settings.provider, threads=threads) for _ in range(sessions)
        ]
        self.model = self.models[0]
        self.name = pack.name
        self.version = pack.manifest.version if pack.manifest else "1"
        self.stats = Stats()
        self.proof: Report | None = self.model.prove() if settings.prove else None
        self.policy = _measure(self.model)
        self._max_batch = settings.max_batch
        self._batcher = Batcher(
            [model.run for model in self.models],
            max_rows=settings.max_batch if self.policy.batched else 1,
            max_queue=settings.max_queue,
            timeout=settings.timeout,
            stats=self.stats,
        )

    @property
    def signature(self) -> Signature:
        """Of the model."""
        return self.model.signature

    @property
    def waiting(self) -> int:
        """How many requests are in the queue."""
        return len(self._batcher)

    async def infer(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        """The answer to one request.

        Raises:
            FeedError: the inputs do not fit the signature.
            Refusal: too many rows (413), a full queue (429), or no answer in time (504).
        """
        start = perf_counter()
        bound = self.signature.bind((), feeds)
        rows = self._rows(bound)
        if self.policy.inline and rows <= INLINE_ROWS:
            answer = self.model.run(bound)
            seconds = perf_counter() - start
            self.stats.ran(rows, seconds)
        else:
            answer = await self._batcher.submit(bound, rows)
            seconds = perf_counter() - start
        self.stats.answered(seconds)
        return answer

    def close(self) -> None:
        """End the threads of its sessions."""
        self._batcher.close()

    def _rows(self, feeds: Mapping[str, Array]) -> int:
        if not self.policy.batched:
            return 1
        rows: int = next(iter(feeds.values())).shape[0]
        if rows > self._max_batch:
            raise Refusal(413, f"{rows} rows in one request, expected at most {self._max_batch}")
        return rows


def _measure(model: Model) -> Policy:
    """Warm the model up, and see how it is best served."""
    examples = _examples(model)
    reason = _why_not_together(model, examples)
    inline = bool(examples) and _run_seconds(model, examples[0]) < _switch_seconds()
    return Policy(inline=inline, batched=not reason, reason=reason)


def _examples(model: Model) -> list[dict[str, Array]]:
    """The inputs of the first golden sets."""
    return [dict(read_tensor(path) for path in golden.inputs) for golden in model.pack.golden[:3]]


def _why_not_together(model: Model, examples: list[dict[str, Array]]) -> str:
    """Why requests cannot share a run; empty where they were shown to.

    A model can mix the rows of a batch, and then an answer would depend on who else asked.
    """
    specs = (*model.signature.inputs, *model.signature.outputs)
    first = {spec.shape[0] if spec.shape else None for spec in specs}
    if len(first) > 1 or not isinstance(next(iter(first), None), str):
        return "its inputs and outputs do not share a dynamic first axis"
    if not examples:
        return "it has no golden data to show that its rows do not depend on each other"
    alone = examples[0]
    rows = next(iter(alone.values())).shape[0]
    other = {name: np.roll(array[:1], 1, axis=-1) for name, array in alone.items()}
    together = model.run({name: np.concatenate([alone[name], other[name]]) for name in alone})
    kept = {name: array[:rows] for name, array in together.items()}
    evidence = compare_all(model.run(alone), kept, _tolerance(model))
    mixed = [found.output for found in evidence if not found.passed]
    return f"a row of {mixed[0]!r} changes with the other rows of its batch" if mixed else ""


def _tolerance(model: Model) -> Tolerance:
    manifest = model.pack.manifest
    return manifest.parity.tolerance if manifest else Tolerance()


def _run_seconds(model: Model, feeds: Mapping[str, Array]) -> float:
    return min(_timed(lambda: model.run(feeds)) for _ in range(MEASURED))


def _switch_seconds() -> float:
    """How long it takes to hand a call to a thread and hear from it."""
    with ThreadPoolExecutor(1) as threads:
        return min(_timed(lambda: threads.submit(int).result()) for _ in range(MEASURED))


def _timed(call: Any) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start
