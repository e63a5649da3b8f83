"""HTTP connections with bounds that uvicorn does not set: headers, pipelines, and time."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import weakref
from http import HTTPStatus
from typing import Any, ClassVar

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from onnxpack.server.joined import JoinedWrites

MAX_HEADER_BYTES = 64 * 1024
"""Of the request line and all headers together."""
MAX_PIPELINED = 32
"""Requests that may be sent ahead on one connection."""
PATIENCE = 10
"""A request, and taking its answer, may last as many read timeouts as this in all."""
SWEEP_SECONDS = 1.0
AT_ONCE = struct.pack("ii", 1, 0)
"""Lingering that is on, for no time."""
OVER = select.POLLRDHUP | select.POLLHUP | select.POLLERR
"""What the system says of a connection that its client left."""


class Connection(HttpToolsProtocol):
    """A connection that is closed when its client is too slow, or sends without end."""

    read_timeout = 20.0
    _live: ClassVar[weakref.WeakSet[Connection]] = weakref.WeakSet()

    def connection_made(self, transport: Any) -> None:
        """A client connected, and has its time to send a request."""
        super().connection_made(JoinedWrites(transport, self.loop))
        self._begun = self._heard = self._taking = self.loop.time()
        self._reading = True
        self._header_bytes = self._stalled = 0
        self._progress = True
        self._unsent = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        self._running: RequestResponseCycle | None = None
        self._live.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over; one that closes is not, while its client takes nothing."""
        self._live.discard(self)
        # uvicorn tells the request that came last; of requests sent ahead, an earlier one runs.
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Part of a request came."""
        self._heard = self.loop.time()
        if not self._reading and self.cycle is not None and self.cycle.response_complete:
            # An empty line begins no request yet, and ends the wait for one.
            self._reading, self._begun = True, self._heard
        self._progress = False
        super().data_received(data)
        # The parser keeps a header until its end, and so an endless one: no callback tells.
        self._stalled = 0 if self._progress else self._stalled + len(data)
        if self._stalled > MAX_HEADER_BYTES:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS)
        super().on_message_begin()
        self._begun = self._heard
        self._reading = self._progress = True
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Part of the request line came."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header came."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """Part of a body came."""
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; from now on it is the server that takes time."""
        self._reading = False
        self._progress = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, as all else is refused, unless answers are still due."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.reset()
            return
        content = orjson.dumps({"error": self._refusal.phrase})
        head = (
            f"HTTP/1.1 {self._refusal.value} {self._refusal.phrase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        self.transport.close()

    def too_slow(self, now: float) -> bool:
        """Return whether the client has not sent, or not taken, anything for too long."""
        if self._reading and not self.flow.read_paused:
            silent = now - self._heard > self.read_timeout
            return silent or now - self._begun > PATIENCE * self.read_timeout
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0:
            self._taking = now
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._heard = unsent, now
        stuck = now - self._heard > self.read_timeout
        return stuck or now - self._taking > PATIENCE * self.read_timeout

    def left(self) -> bool:
        """Whether the client went away, which the loop does not see while it reads nothing."""
        if not self.flow.read_paused:
            return False
        system = select.poll()
        system.register(self.transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        return any(events & OVER for _, events in system.poll(0))

    def reset(self) -> None:
        """End the connection at once; the system forgets what was not taken yet, too."""
        plain = self.transport.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _refuse(self, status: HTTPStatus) -> None:
        # The parser stops at an exception, and what stops it is answered by send_400_response.
        self._refusal = status
        raise ValueError(status.phrase)

    @classmethod
    async def sweep(cls) -> None:
        """Close what is too slow, once a second, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for connection in list(cls._live):
                if connection.left():
                    connection.transport.close()
                if connection.too_slow(loop.time()):
                    connection.reset()
