"""Batch requests without a waiting window: requests queued when a session is free run together.

Waiting for more requests costs latency and gains nothing: under load a queue forms by itself, and
without load no other request comes. Rows are counted, not requests. Requests run together only if
their inputs have equal dtypes and equal sizes on every axis but the first. Other requests keep
their place in the queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import numpy as np

from onnxpack.errors import PackError
from onnxpack.server.errors import RequestError
from onnxpack.server.models.stats import Stats
from onnxpack.signature import Array

Feeds = Mapping[str, Array]
Run = Callable[[Feeds], dict[str, Array]]


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that waits in the queue."""

    feeds: Feeds
    rows: int
    key: tuple[object, ...]
    answer: asyncio.Future[dict[str, Array]]
    since: float = field(default_factory=perf_counter)


class Batcher:
    """The queue in front of the sessions of one model.

    Args:
        runs: one function for each session that runs it; called in a thread.
        max_rows: most rows that run together; 1 serves one request at a time.
        max_queue: most requests that may wait.
        timeout: seconds until a request is given up.
        stats: counters of the model.
    """

    def __init__(
        self, runs: list[Run], *, max_rows: int, max_queue: int, timeout: float, stats: Stats
    ) -> None:
        self._free = list(runs)
        self._max_rows = max_rows
        self._max_queue = max_queue
        self._timeout = timeout
        self._stats = stats
        self._queue: deque[_Waiting] = deque()
        self._threads = ThreadPoolExecutor(len(runs), thread_name_prefix="session")

    def __len__(self) -> int:
        return len(self._queue)

    async def submit(self, feeds: Feeds, rows: int) -> dict[str, Array]:
        """Return the answer to one request, which contains only its own rows.

        Raises:
            RequestError: the queue is full (429), or the request timed out (504).
            OnnxpackError: the model refuses the inputs.
        """
        if len(self._queue) >= self._max_queue:
            raise RequestError(429, "the queue is full", retry_after=1)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(feeds, rows, _key(feeds), loop.create_future())
        timer = loop.call_later(self._timeout, _give_up, waiting.answer, self._timeout)
        self._queue.append(waiting)
        self._start()
        try:
            return await waiting.answer
        except BaseException:
            with suppress(ValueError):  # a request that ran has left the queue
                self._queue.remove(waiting)
            self._stats.waiting = len(self._queue)
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """Shut down the threads of the sessions."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        """Start batches from the queue on all free sessions."""
        loop = asyncio.get_running_loop()
        while self._free:
            batch = self._take()
            if not batch:
                break
            run = self._free.pop()
            self._stats.queued([perf_counter() - waiting.since for waiting in batch])
            done = loop.run_in_executor(self._threads, _run_together, run, batch)
            done.add_done_callback(partial(self._finish, run, batch))
        self._stats.waiting = len(self._queue)

    def _take(self) -> list[_Waiting]:
        """Take the oldest request from the queue, and later ones that can run with it."""
        while self._queue and self._queue[0].answer.done():
            self._queue.popleft()
        batch: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        rows = 0
        while self._queue:
            waiting = self._queue.popleft()
            if waiting.answer.done():
                continue
            fits = not batch or (
                rows + waiting.rows <= self._max_rows and waiting.key == batch[0].key
            )
            if fits:
                batch.append(waiting)
                rows += waiting.rows
            else:
                left.append(waiting)
            if rows >= self._max_rows:
                break
        self._queue.extendleft(reversed(left))
        return batch

    def _finish(self, run: Run, batch: list[_Waiting], done: asyncio.Future[_Answers]) -> None:
        self._free.append(run)
        failure = done.exception()
        if failure is None:
            answers, seconds = done.result()
            self._stats.ran(sum(waiting.rows for waiting in batch), seconds)
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)
        elif len(batch) == 1:
            if not batch[0].answer.done():
                batch[0].answer.set_exception(failure)
        else:
            self._alone(batch)
        self._start()

    def _alone(self, batch: list[_Waiting]) -> None:
        """Queue the requests of a failed batch to run alone, so only the faulty one fails."""
        for waiting in reversed(batch):
            waiting.key = (object(),)
            self._queue.appendleft(waiting)


_Answers = tuple[list[dict[str, Array]], float]


def _key(feeds: Feeds) -> tuple[object, ...]:
    return tuple((name, array.dtype, array.shape[1:]) for name, array in feeds.items())


def _give_up(answer: asyncio.Future[dict[str, Array]], seconds: float) -> None:
    if not answer.done():
        answer.set_exception(RequestError(504, f"no answer within {seconds:g} s"))


def _run_together(run: Run, batch: list[_Waiting]) -> _Answers:
    start = perf_counter()
    if len(batch) == 1:
        return [run(batch[0].feeds)], perf_counter() - start
    together = {
        name: np.concatenate([waiting.feeds[name] for waiting in batch]) for name in batch[0].feeds
    }
    outputs = run(together)
    seconds = perf_counter() - start
    *ends, total = np.cumsum([waiting.rows for waiting in batch])
    if any(len(array) != total for array in outputs.values()):
        raise PackError("the outputs do not have as many rows as the inputs")
    parts = {name: np.split(array, ends) for name, array in outputs.items()}
    return [{name: parts[name][i] for name in parts} for i in range(len(batch))], seconds
