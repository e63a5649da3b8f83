"""Serve in several processes on one port; each opens and proves the models for itself.

A pipe connects each worker with its parent. A worker reports that its models are proven, or why
they are not, waits until all workers are ready, and reports again that it serves. If the parent
ends, its workers end too. A worker that ends by itself, once all were ready, is started again.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import monotonic

from onnxpack.errors import OnnxpackError, WorkerError
from onnxpack.pack.model import Pack
from onnxpack.runtime.threads import read_budget
from onnxpack.server.models.counters import SharedCounters
from onnxpack.server.models.repository import Stopped
from onnxpack.server.process import Announce, Closer, leave_if_opening
from onnxpack.server.ready import Ready
from onnxpack.server.run import serve_on
from onnxpack.server.settings import Settings
from onnxpack.server.signals import handled

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds until a worker is started again; they double each time that it ends too early."""
STEADY_SECONDS = 60.0
"""Seconds of life after which a worker did not end too early."""

_SPAWNING = multiprocessing.get_context("spawn")
_log = logging.getLogger("onnxpack.server")


@dataclass(slots=True)
class _Worker:
    """A worker process, or the pause until it is started again."""

    process: BaseProcess
    line: Connection | None
    started: float
    pause: float = FIRST_PAUSE
    due: float = 0.0
    serves: bool = False


def run_workers(
    packs: Iterable[Pack],
    settings: Settings,
    listener: socket.socket,
    announce: Announce | None,
    on_close: Closer,
) -> None:
    """Serve in ``settings.workers`` processes until a signal ends them all.

    Args:
        packs: packs to serve.
        settings: settings of the server.
        listener: the listening socket, which the workers share.
        announce: called when all workers are ready.
        on_close: called to close the sockets of this process, at the signal.

    Raises:
        OnnxpackError: a worker failed to become ready; this is the worker's own error.
        WorkerError: a worker ended by itself before all of them were ready.
    """
    share = settings.threads or max(1, read_budget().threads // settings.workers)
    own = replace(settings, workers=1, threads=share)
    workers = _Workers(tuple(packs), own, listener, on_close, settings.workers)
    with handled(workers.stop):
        try:
            workers.run(announce)
        finally:
            workers.end()


class _Workers:
    """The workers of a server.

    Args:
        packs: packs to serve.
        settings: settings of one worker.
        listener: the listening socket, which the workers share.
        on_close: called to close the sockets of this process, at the signal.
        count: number of workers.
    """

    def __init__(
        self,
        packs: tuple[Pack, ...],
        settings: Settings,
        listener: socket.socket,
        on_close: Closer,
        count: int,
    ) -> None:
        self._packs = packs
        self._settings = settings
        self._listener = listener
        self._on_close = on_close
        self._count = count
        self._memory = _SPAWNING.RawArray("d", SharedCounters.size(len(packs), count))
        self._counters = SharedCounters(len(packs), workers=count, memory=self._memory)
        self._workers: list[_Worker] = []
        self._stopping = False

    def run(self, announce: Announce | None) -> None:
        """Start the workers, and keep them running until a signal ends them."""
        for number in range(self._count):
            if not self._stopping:
                self._workers.append(self._start(number))
        told = self._gather()
        for worker in self._workers:
            _let_go(worker)
        self._gather()  # each says again that it is ready, and now it is for its clients, too
        if announce is not None and not self._stopping:
            announce(told[0])
        self._watch()

    def stop(self, number: int) -> None:
        """Close the sockets and pass a signal on; a second Ctrl-C too."""
        again = self._stopping and number == signal.SIGINT
        self._stopping = True
        self._on_close()
        for worker in self._workers:
            _send(worker.process, signal.SIGINT if again else signal.SIGTERM)

    def end(self) -> None:
        """End all workers and wait for them."""
        self._stopping = True
        for worker in self._workers:
            _send(worker.process, signal.SIGTERM)
        for worker in self._workers:
            worker.process.join()

    def _start(self, number: int, *, again: bool = False) -> _Worker:
        ours, theirs = _SPAWNING.Pipe()
        counters = partial(
            SharedCounters, len(self._packs), workers=self._count, own=number, memory=self._memory
        )
        arguments = (theirs, self._listener, self._packs, self._settings, counters, again)
        process = _SPAWNING.Process(target=_work, args=arguments)
        process.start()
        theirs.close()
        if self._stopping:  # the signal came before this worker was in the list
            _send(process, signal.SIGTERM)
        return _Worker(process, ours, monotonic())

    def _next(self) -> _Worker | None:
        """Return a worker that reports or ended; None if a worker is due, or none is left."""
        lines = [worker.line for worker in self._workers if worker.line is not None]
        due = [worker.due for worker in self._workers if worker.line is None]
        # A signal does not interrupt the wait, so it is short while nothing else ends it.
        left = None if self._stopping or not due else min(max(0.0, min(due) - monotonic()), 0.5)
        if not lines and left is None:
            return None
        heard = wait(lines, left)
        return next((worker for worker in self._workers if worker.line in heard), None)

    def _gather(self) -> list[Ready]:
        """Return a message of each worker; fewer if a signal came."""
        told: list[Ready] = []
        while len(told) < self._count and not self._stopping:
            worker = self._next()
            message = None if worker is None else self._word(worker)
            if message is not None:
                told.append(message)
        return told

    def _word(self, worker: _Worker) -> Ready | None:
        """Return a worker's message, or raise what kept it from being ready."""
        message = _receive(worker)
        if message is None and not self._stopping:
            raise _ended_by_itself(worker.process)
        if isinstance(message, OnnxpackError):
            raise message
        return message

    def _watch(self) -> None:
        """Start workers again that end, until a signal came and all have ended."""
        while True:
            worker = self._next()
            if worker is not None:
                self._hear(worker)
            elif self._stopping:
                return
            self._start_due()

    def _hear(self, worker: _Worker) -> None:
        message = _receive(worker)
        if isinstance(message, OnnxpackError):
            _log.error("worker process %s cannot serve: %s", worker.process.pid, message)
        elif message is not None:
            if not worker.serves:
                _let_go(worker)
        elif not self._stopping:
            lived = monotonic() - worker.started
            pause = FIRST_PAUSE if lived > STEADY_SECONDS else worker.pause
            worker.due = monotonic() + pause
            worker.pause = min(2 * pause, LONGEST_PAUSE)
            _log.error("%s It is started again in %g s.", _describe(worker.process), pause)

    def _start_due(self) -> None:
        for number, worker in enumerate(self._workers):
            if worker.line is None and not self._stopping and monotonic() >= worker.due:
                self._counters.restarts += 1
                self._workers[number] = replace(self._start(number, again=True), pause=worker.pause)


def _receive(worker: _Worker) -> Ready | OnnxpackError | None:
    """Return a worker's message; None if it ended, which closes its line."""
    assert worker.line is not None  # noqa: S101 - only lines that are open are waited for
    try:
        message: Ready | OnnxpackError = worker.line.recv()
    except (EOFError, OSError):
        worker.line.close()
        worker.line = None
        worker.process.join()
        return None
    return message


def _let_go(worker: _Worker) -> None:
    """Let a worker that is ready serve."""
    worker.serves = True
    if worker.line is not None:
        with contextlib.suppress(OSError):
            worker.line.send(None)


def _send(process: BaseProcess, number: int) -> None:
    if process.is_alive() and process.pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _describe(process: BaseProcess) -> str:
    code = process.exitcode or 0
    how = f"exit code {code}" if code >= 0 else f"signal {-code}: {signal.strsignal(-code)}"
    return f"worker process {process.pid} ended unexpectedly ({how})."


def _ended_by_itself(process: BaseProcess) -> WorkerError:
    return WorkerError(
        f"{_describe(process)[:-1]}, so the others were stopped.",
        remedy="see its output above; if memory ran out, --workers 1 needs less",
    )


def _work(
    line: Connection,
    listener: socket.socket,
    packs: tuple[Pack, ...],
    settings: Settings,
    counters: Callable[[], SharedCounters],
    again: bool,
) -> None:
    os.setpgrp()  # Ctrl-C in a terminal reaches only the parent, which passes it on once
    try:
        gate = partial(_wait_for_the_others, line)
        # One that is started again would refuse clients that the others can answer.
        serve_on(
            listener, packs, settings, announce=line.send, gate=gate, counters=counters(),
            listen_when_ready=again,
        )  # fmt: skip
    except OnnxpackError as exc:
        with contextlib.suppress(OSError):
            line.send(exc)
        sys.exit(1)
    leave_if_opening()


def _wait_for_the_others(line: Connection, ready: Ready) -> None:
    try:
        line.send(ready)
        line.recv()
    except (EOFError, OSError) as exc:
        raise Stopped from exc
    threading.Thread(target=_end_with_the_parent, args=(line,), daemon=True).start()


def _end_with_the_parent(line: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        line.recv()
    os.kill(os.getpid(), signal.SIGTERM)
