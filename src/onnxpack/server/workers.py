"""Serve in several processes on one port; each opens and proves the models for itself.

A pipe connects each worker with its parent. A worker reports that its models are proven, or why
they are not, and waits until all workers are ready. If one end closes, the other process ends too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

from onnxpack.errors import OnnxpackError, WorkerError
from onnxpack.pack.model import Pack
from onnxpack.runtime.threads import read_budget
from onnxpack.server.models.repository import Stopped
from onnxpack.server.ready import Ready
from onnxpack.server.run import Announce, serve_on
from onnxpack.server.settings import Settings


@dataclass(frozen=True, slots=True)
class _Worker:
    process: BaseProcess
    line: Connection


def run_workers(
    packs: Iterable[Pack], settings: Settings, listener: socket.socket, announce: Announce | None
) -> None:
    """Serve in ``settings.workers`` processes until a signal ends them all.

    Args:
        packs: packs to serve.
        settings: settings of the server.
        listener: the listening socket, which the workers share.
        announce: called when all workers are ready.

    Raises:
        OnnxpackError: a worker failed to become ready; this is the worker's own error.
        WorkerError: a worker ended by itself; the others are ended too.
    """
    share = settings.threads or max(1, read_budget().threads // settings.workers)
    own = replace(settings, workers=1, threads=share)
    workers = [_start(listener, tuple(packs), own) for _ in range(settings.workers)]
    with _signals_passed_on(workers) as asked:
        try:
            ended = _watch(workers, announce)
        finally:
            for worker in workers:
                worker.process.terminate()
            for worker in workers:
                worker.process.join()
    if not asked:
        raise _ended_by_itself(ended) if isinstance(ended, BaseProcess) else ended


def _start(listener: socket.socket, packs: tuple[Pack, ...], settings: Settings) -> _Worker:
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=_work, args=(theirs, listener, packs, settings))
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _ended_by_itself(process: BaseProcess) -> WorkerError:
    code = process.exitcode or 0
    how = f"exit code {code}" if code >= 0 else f"signal {-code}: {signal.strsignal(-code)}"
    return WorkerError(
        f"worker process {process.pid} ended unexpectedly ({how}), so the others were stopped.",
        remedy="see its output above; if memory ran out, --workers 1 needs less",
    )


def _watch(workers: Sequence[_Worker], announce: Announce | None) -> OnnxpackError | BaseProcess:
    """Wait until a worker ends; return the error that it reported, else its process."""
    lines = [worker.line for worker in workers]
    told: list[Ready] = []
    while True:
        speaking = wait(lines)
        for worker in workers:
            line = worker.line
            if line not in speaking:
                continue
            try:
                message: Ready | OnnxpackError = line.recv()
            except (EOFError, OSError):
                return worker.process
            if isinstance(message, OnnxpackError):
                return message
            told.append(message)
        if len(told) == len(workers):
            for line in lines:
                with contextlib.suppress(OSError):
                    line.send(None)
            if announce is not None:
                announce(told[0])


@contextlib.contextmanager
def _signals_passed_on(workers: Sequence[_Worker]) -> Iterator[list[int]]:
    """Pass SIGTERM and SIGINT on to the workers; the yielded list is filled when one comes."""
    asked: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        for worker in workers:
            worker.process.terminate()

    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, pass_on) for number in numbers]
    try:
        yield asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _work(
    line: Connection, listener: socket.socket, packs: tuple[Pack, ...], settings: Settings
) -> None:
    os.setpgrp()  # Ctrl-C in a terminal reaches only the parent, which passes it on once
    try:
        serve_on(listener, packs, settings, gate=partial(_wait_for_the_others, line))
    except OnnxpackError as exc:
        with contextlib.suppress(OSError):
            line.send(exc)
        sys.exit(1)


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
