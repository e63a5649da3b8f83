"""Counters of a served model, fast enough for a call of a few µs.

All numbers are cells of one block of memory, so that workers can share it: each counts in a block
of its own, and whoever is asked adds up the blocks of all. A worker that is started again goes on
in the block of the one before it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence

LATENCY = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of durations, in seconds."""
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Upper bounds of the buckets of batch sizes, in rows."""
STATUSES = (400, 401, 403, 404, 405, 408, 413, 415, 429, 431, 499, 500, 503, 504)
"""The statuses under which requests to a model are refused."""
RECENT = 200
"""Number of recent durations that are kept for the page."""

_SUCCEEDED, _ROWS, _IN_FLIGHT, _WAITING, _FAILED = range(5)
_BOUNDS = (LATENCY, LATENCY, LATENCY, ROWS)
SIZE = _FAILED + len(STATUSES) + sum(len(bounds) + 2 for bounds in _BOUNDS)
"""The number of cells that the counters of one model take."""


class Histogram:
    """Counts of the values at or below each bound, and the sum of all values."""

    def __init__(self, bounds: Sequence[float], cells: memoryview[float]) -> None:
        self.bounds = bounds
        self.counts = cells[:-1]
        self._sum = cells[-1:]

    @property
    def sum(self) -> float:
        """The sum of all values that were observed."""
        return float(self._sum[0])

    def add(self, value: float) -> None:
        """Add one value to its bucket."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self._sum[0] += value


class Stats:
    """The counters of one model in one process; only the event loop's thread writes them.

    Args:
        cells: memory of the counters, ``SIZE`` numbers; by default, memory of its own.
    """

    def __init__(self, cells: memoryview[float] | None = None) -> None:
        self.cells = memoryview(bytearray(8 * SIZE)).cast("d") if cells is None else cells
        start = _FAILED + len(STATUSES)
        histograms = []
        for bounds in _BOUNDS:
            end = start + len(bounds) + 2
            histograms.append(Histogram(bounds, self.cells[start:end]))
            start = end
        self.request_seconds, self.queue_seconds, self.compute_seconds, self.batch_rows = histograms
        self.recent: deque[float] = deque(maxlen=RECENT)

    @property
    def succeeded(self) -> int:
        """The number of requests that were answered."""
        return int(self.cells[_SUCCEEDED])

    @property
    def rows(self) -> int:
        """The number of rows that were computed."""
        return int(self.cells[_ROWS])

    @property
    def failed(self) -> dict[int, int]:
        """The number of requests that were refused, by status."""
        counts = self.cells[_FAILED : _FAILED + len(STATUSES)]
        return {status: int(n) for status, n in zip(STATUSES, counts, strict=True) if n}

    @property
    def in_flight(self) -> int:
        """The number of requests that are not answered yet."""
        return int(self.cells[_IN_FLIGHT])

    @in_flight.setter
    def in_flight(self, count: int) -> None:
        self.cells[_IN_FLIGHT] = count

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a session."""
        return int(self.cells[_WAITING])

    @waiting.setter
    def waiting(self, count: int) -> None:
        self.cells[_WAITING] = count

    def answered(self, seconds: float) -> None:
        """Count a request that was answered."""
        self.cells[_SUCCEEDED] += 1
        self.request_seconds.add(seconds)
        self.recent.append(seconds)

    def refused(self, status: int) -> None:
        """Count a request that was refused."""
        self.cells[_FAILED + STATUSES.index(status)] += 1

    def queued(self, waits: Iterable[float]) -> None:
        """Count requests that left the queue, with the seconds that each waited."""
        for seconds in waits:
            self.queue_seconds.add(seconds)

    def ran(self, rows: int, seconds: float) -> None:
        """Count a batch that ran."""
        self.cells[_ROWS] += rows
        self.batch_rows.add(rows)
        self.compute_seconds.add(seconds)
