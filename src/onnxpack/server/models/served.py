"""One version of one model being served: it is opened, proven, warmed up, and run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from time import perf_counter
from typing import Any, TypeAlias

from onnxpack.errors import PackError
from onnxpack.pack.model import Pack
from onnxpack.report import Report
from onnxpack.runtime.model import Model
from onnxpack.runtime.replay import prove, proves
from onnxpack.runtime.threads import read_budget
from onnxpack.runtime.variants import BASE
from onnxpack.server.datatypes import NAMES
from onnxpack.server.errors import RequestError
from onnxpack.server.models.batcher import Batcher
from onnxpack.server.models.counters import Counters, SharedCounters
from onnxpack.server.models.intact import intact
from onnxpack.server.models.policy import MAX_ROWS, measure
from onnxpack.server.settings import Settings
from onnxpack.signature import Array, Signature

INLINE_BYTES = 4096
"""Bytes above which a request is run in a thread, even if small requests run in the event loop."""
INLINE_SECONDS = 0.1
"""Seconds; after a longer run no request runs in the loop: run time depends on the input."""

Header: TypeAlias = Callable[[str], str]


def _go_on() -> None:
    """Do nothing: by default, nothing interrupts the proof."""


class Served:
    """A model with its queue of requests.

    Args:
        pack: the pack to serve.
        settings: settings of the server.
        check: called between golden sets; an error that it raises ends the proof.
        counters: counters of the model; by default, they are shared with no other process.

    Raises:
        PackError: the graph cannot be loaded, has a datatype that the protocol lacks, or files were
            altered.
        ProviderError: the provider does not run here.
    """

    def __init__(
        self,
        pack: Pack,
        settings: Settings,
        check: Callable[[], None] = _go_on,
        counters: Counters | None = None,
    ) -> None:
        sessions = settings.sessions
        threads = settings.threads or max(1, read_budget().threads // sessions)
        with intact(pack) if settings.prove else nullcontext():
            provider = settings.provider
            first = Model(pack, provider=provider, threads=threads, variant=settings.variant)
            # All sessions use the same graph, whatever a later automatic choice would give.
            same = first.variant or BASE
            self.models = [first] + [
                Model(pack, provider=provider, threads=threads, variant=same)
                for _ in range(sessions - 1)
            ]
        self.model = first
        self.name = pack.name
        self.version = pack.manifest.version if pack.manifest else "1"
        self.counters = counters or SharedCounters(1).of(0)
        self.stats = self.counters.own
        _check_types(self.signature)
        self.proof = _prove(self.model, check) if settings.prove else None
        self.policy = measure(self.model, settings.max_batch)
        self._max_rows = settings.max_batch or MAX_ROWS
        self._batcher = Batcher(
            [model.run for model in self.models],
            max_rows=self.policy.rows,
            max_queue=settings.max_queue,
            timeout=settings.timeout,
            stats=self.stats,
        )

    @property
    def signature(self) -> Signature:
        """The model's input and output signature."""
        return self.model.signature

    @property
    def proven(self) -> bool:
        """Whether golden data was reproduced here that not every graph would reproduce."""
        return self.proof is not None and proves(self.proof)

    @property
    def unchanged(self) -> bool:
        """Whether every file was found to have the digest that the manifest names."""
        return self.proof is not None and self.model.pack.manifest is not None

    def at_once(self, feeds: Mapping[str, Any]) -> bool:
        """Return whether the request is run in the event loop, without waiting for a session."""
        return self.policy.inline and _small(feeds)

    async def infer(
        self, feeds: Mapping[str, Any], header: Header | None = None
    ) -> dict[str, Array]:
        """Return the outputs for one request.

        Args:
            feeds: input arrays by name.
            header: function that returns a header of the request by its name, for tracing.

        Raises:
            FeedError: the inputs do not fit the signature.
            RequestError: too many rows (413), a full queue (429), or no answer in time (504).
        """
        if not self.at_once(feeds):
            # Inputs that do not fit are refused here, before they join others in a batch.
            bound = self.model.bind(feeds)
            return await self._batcher.submit(bound, self._rows(bound))
        start = perf_counter()
        answer = self.model.run(feeds)
        seconds = perf_counter() - start
        self.stats.ran(self._rows(feeds), seconds)
        if seconds > INLINE_SECONDS:
            self.policy = replace(self.policy, inline=False)
        return answer

    def close(self) -> None:
        """Shut down the threads of the sessions."""
        self._batcher.close()

    def _rows(self, feeds: Mapping[str, Array]) -> int:
        """Return the number of rows in the inputs; 1 if rows are not known to be independent."""
        if not self.policy.apart:
            return 1
        rows = int(next(iter(feeds.values())).shape[0])
        if rows > self._max_rows:
            raise RequestError(
                413,
                f"{rows} rows in one request, expected at most {self._max_rows}: send them in "
                f"parts, or start the server with --max-batch {rows}",
            )
        return rows


def _small(feeds: Mapping[str, Any]) -> bool:
    size = 0
    for array in feeds.values():
        size += array.nbytes
    return size <= INLINE_BYTES


def _prove(model: Model, check: Callable[[], None]) -> Report:
    """Replay golden data, unless ``check`` interrupts it because the server is to end."""

    def run(feeds: Mapping[str, Any]) -> dict[str, Array]:
        check()
        return model.run(feeds)

    return prove(run, model.pack, model.signature, model.variant)


def _check_types(signature: Signature) -> None:
    for spec in (*signature.inputs, *signature.outputs):
        if spec.dtype not in NAMES:
            raise PackError(f"{spec.name!r} is {spec}, which the protocol cannot carry.")
