"""The counters of all workers, and whether each still listens, in memory that they share."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

from onnxpack.server.models.stats import SIZE, Stats


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of one model in every worker.

    Attributes:
        own: counters that this process writes.
        every: counters of all workers, its own too.
    """

    own: Stats
    every: tuple[Stats, ...]

    def total(self) -> Stats:
        """Return the sums over all workers."""
        cells = zip(*(stats.cells for stats in self.every), strict=True)
        return Stats(memoryview(array("d", map(sum, cells))).cast("B").cast("d"))


class SharedCounters:
    """What the workers of a server know of each other.

    That is: the counters of every model, how often a worker was started again, and which workers
    still listen. Each number is written by one process.

    Args:
        models: number of models.
        workers: number of workers.
        own: number of this worker.
        memory: memory that the workers share, of :meth:`size` numbers; by default, own memory.
    """

    def __init__(self, models: int, *, workers: int = 1, own: int = 0, memory: Any = None) -> None:
        held = bytearray(8 * self.size(models, workers)) if memory is None else memory
        self._cells = memoryview(held).cast("B").cast("d")
        self._models = models
        self._workers = workers
        self._own = own
        self._closed = self._cells[1 : 1 + workers]

    @staticmethod
    def size(models: int, workers: int) -> int:
        """Return how many numbers are held."""
        return 1 + workers + models * workers * SIZE

    @property
    def restarts(self) -> int:
        """How often a worker was started again; the parent counts."""
        return int(self._cells[0])

    @restarts.setter
    def restarts(self, count: int) -> None:
        self._cells[0] = count

    @property
    def listening(self) -> bool:
        """Whether a worker still listens."""
        return not all(self._closed)

    def start_listening(self) -> None:
        """Note that this worker listens, also if one before it ended in its place."""
        self._closed[self._own] = 0

    def stop_listening(self) -> None:
        """Note that this worker does not listen any more."""
        self._closed[self._own] = 1

    def of(self, model: int) -> Counters:
        """Return the counters of a model, by its number; nothing is in flight yet."""
        every = tuple(Stats(self._block(worker, model)) for worker in range(self._workers))
        own = every[self._own]
        own.in_flight = own.waiting = 0  # a worker before this one may have died with some
        return Counters(own, every)

    def _block(self, worker: int, model: int) -> memoryview[float]:
        start = 1 + self._workers + (worker * self._models + model) * SIZE
        return self._cells[start : start + SIZE]
