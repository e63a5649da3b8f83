"""Counters of a served model, fast enough for a call of a few µs."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence

LATENCY = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of durations, in seconds."""
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Upper bounds of the buckets of batch sizes, in rows."""
RECENT = 200
"""Number of recent durations that are kept for the page."""


class Histogram:
    """Counts of the values at or below each bound, and the sum of all values."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Add one value to its bucket."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Stats:
    """The counters of one model; only the event loop's thread writes them."""

    def __init__(self) -> None:
        self.succeeded = 0
        self.failed: dict[int, int] = {}
        self.rows = 0
        self.in_flight = 0
        self.request_seconds = Histogram(LATENCY)
        self.queue_seconds = Histogram(LATENCY)
        self.compute_seconds = Histogram(LATENCY)
        self.batch_rows = Histogram(ROWS)
        self.recent: deque[float] = deque(maxlen=RECENT)

    def answered(self, seconds: float) -> None:
        """Count a request that was answered."""
        self.succeeded += 1
        self.request_seconds.add(seconds)
        self.recent.append(seconds)

    def refused(self, status: int) -> None:
        """Count a request that was refused."""
        self.failed[status] = self.failed.get(status, 0) + 1

    def queued(self, waits: Iterable[float]) -> None:
        """Count requests that left the queue, with the seconds that each waited."""
        for seconds in waits:
            self.queue_seconds.add(seconds)

    def ran(self, rows: int, seconds: float) -> None:
        """Count a batch that ran."""
        self.rows += rows
        self.batch_rows.add(rows)
        self.compute_seconds.add(seconds)
