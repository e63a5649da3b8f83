"""HTTP connections with bounds that uvicorn does not set: headers, and time."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 64 * 1024
"""Of the request line and all headers together."""
MAX_UPLOADS = 10
"""A body may take as many read timeouts as this in all."""
SWEEP_SECONDS = 1.0


class Connection(HttpToolsProtocol):
    """A connection that is closed when its client is too slow, or sends endless headers."""

    read_timeout = 20.0
    _live: ClassVar[weakref.WeakSet[Connection]] = weakref.WeakSet()

    def connection_made(self, transport: Any) -> None:
        """A client connected, and has its time to send a request."""
        super().connection_made(transport)
        self._begun = self._heard = self.loop.time()
        self._reading = True
        self._header_bytes = 0
        self._unsent = 0
        self._live.add(self)

    def data_received(self, data: bytes) -> None:
        """Part of a request came."""
        self._heard = self.loop.time()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begun = self._heard
        self._reading = True
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Part of the request line came."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_message_complete(self) -> None:
        """The request is whole; from now on it is the server that takes time."""
        self._reading = False
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            self.transport.abort()
            raise ValueError("endless headers")

    def too_slow(self, now: float) -> bool:
        """Whether the client has not sent, or not taken, anything for too long."""
        if self._reading:
            silent = now - self._heard > self.read_timeout
            return silent or now - self._begun > MAX_UPLOADS * self.read_timeout
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._heard = unsent, now
        return unsent > 0 and now - self._heard > self.read_timeout

    @classmethod
    async def sweep(cls) -> None:
        """Close what is too slow, once a second, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for connection in list(cls._live):
                if connection.transport.is_closing():
                    cls._live.discard(connection)
                elif connection.too_slow(loop.time()):
                    connection.transport.abort()
