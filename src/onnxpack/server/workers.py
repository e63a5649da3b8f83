"""Several processes on one port: each opens and proves the models for itself."""

from __future__ import annotations

import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from types import FrameType

from onnxpack.errors import OnnxpackError
from onnxpack.pack.model import Pack
from onnxpack.runtime.threads import read_budget
from onnxpack.server.settings import Settings


class WorkerError(OnnxpackError):
    """A worker process ended by itself."""


def run_workers(
    packs: Iterable[Pack],
    settings: Settings,
    listener: socket.socket,
    announce: Callable[[str], None] | None,
) -> None:
    """Serve in ``settings.workers`` processes until a signal ends them all.

    Raises:
        WorkerError: one of them ended by itself; the others are ended too.
    """
    share = settings.threads or max(1, read_budget().threads // settings.workers)
    own = replace(settings, workers=1, threads=share)
    spawning = multiprocessing.get_context("spawn")
    tellers = [announce, *[None] * (settings.workers - 1)]
    workers = [
        spawning.Process(target=_work, args=(listener, tuple(packs), own, teller))
        for teller in tellers
    ]
    for worker in workers:
        worker.start()
    asked = _forward_signals(workers)
    wait([worker.sentinel for worker in workers])
    for worker in workers:
        worker.terminate()
        worker.join()
    if not asked:
        codes = [worker.exitcode for worker in workers]
        raise WorkerError(
            f"a worker process ended by itself; exit codes: {codes}.",
            remedy="see what it said above, or try --workers 1",
        )


def _work(
    listener: socket.socket,
    packs: tuple[Pack, ...],
    settings: Settings,
    announce: Callable[[str], None] | None,
) -> None:
    import sys

    from onnxpack.server.run import serve_on

    try:
        serve_on(listener, packs, settings, announce)
    except OnnxpackError as exc:
        sys.exit(str(exc))


def _forward_signals(workers: Sequence[multiprocessing.process.BaseProcess]) -> list[int]:
    """Pass SIGTERM and SIGINT on; the list fills when one came."""
    asked: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        for worker in workers:
            worker.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    return asked
