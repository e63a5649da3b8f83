"""The open HTTP connections of a process: sweep the slow ones away, and drain all at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxpack.server.http.connection import Connection

SWEEP_SECONDS = 1.0
DRAIN_SECONDS = 0.05
"""Seconds between looks at the connections while they drain."""
LINGER_SECONDS = 1.0
"""Seconds that an idle connection stays open at the end, for a request that is on its way.

A keep-alive client that sends one learns from its answer that the connection closes.
"""
LAST_WORDS_SECONDS = 1.0
"""Seconds for the answers of requests that were cut, which say so."""


class Connections:
    """The open connections, and the requests that run on them.

    Attributes:
        closing: whether each answer is the last one on its connection.
        open: the open connections.
        requests: the tasks of the running requests.
    """

    def __init__(self) -> None:
        self.closing = False
        self.open: set[Connection] = set()
        self.requests: set[asyncio.Task[None]] = set()

    async def sweep(self) -> None:
        """Close slow and abandoned connections once a second, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for connection in list(self.open):
                connection.close_if_left()
                connection.probe()
                if connection.too_slow(loop.time()):
                    connection.reset()

    async def drain(self, seconds: float, linger: float, forced: Callable[[], bool]) -> None:
        """Finish the open requests, and close each connection when it has none.

        Args:
            seconds: longest time; then requests are cancelled, and their clients get 503.
            linger: seconds that an idle connection stays open for a request on its way.
            forced: function that returns whether to end at once.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while self.open and loop.time() < begun + seconds and not forced():
            for connection in list(self.open):
                now = loop.time()
                if connection.idle and min(connection.quiet(now), now - begun) >= linger:
                    connection.transport.close()
            await asyncio.sleep(DRAIN_SECONDS)
        for request in self.requests:
            request.cancel()
        if self.requests:
            await asyncio.wait(self.requests, timeout=LAST_WORDS_SECONDS)
        for connection in list(self.open):
            connection.transport.close()
