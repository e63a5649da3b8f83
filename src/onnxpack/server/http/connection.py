"""HTTP connections with limits that uvicorn does not set: headers, pipelining and time.

A connection counts its own open requests. So it knows which answer is its last, and when it may be
closed without losing a request.
"""

from __future__ import annotations

import select
import socket
import struct
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from onnxpack.server.http.connections import Connections
from onnxpack.server.http.joined_writes import JoinedWrites

MAX_HEADER_BYTES = 64 * 1024
"""Most bytes of the request line and all headers together."""
MAX_PIPELINED = 32
"""Most requests that a client may send ahead on one connection."""
PATIENCE = 10
"""Receiving a request, or sending its answer, may take this many read timeouts in total."""
PROBE_SECONDS = 0.1
"""Seconds after which a client that sends no more is asked whether it still takes an answer."""
PROBE = b"HTTP/1.1 100 Continue\r\n\r\n"
AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER switched on with 0 seconds: closing resets the connection."""
OVER = select.POLLHUP | select.POLLERR
"""Events that the system reports for a connection that its client left."""


class Connection(HttpToolsProtocol):
    """A connection that is closed when its client is too slow or sends without end.

    Attributes:
        all: the open connections of the process; set in a subclass, as uvicorn makes the instances.
        read_timeout: seconds that a client may send or take nothing.
    """

    all: Connections
    read_timeout = 20.0

    def connection_made(self, transport: Any) -> None:
        """Start the time limit for the client's first request."""
        super().connection_made(JoinedWrites(transport, self.loop))
        self._begun = self._heard = self._taking = self._used = self.loop.time()
        self._reading = True
        self._header_bytes = self._stalled = 0
        self._progress = True
        self._unsent = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        self._running: RequestResponseCycle | None = None
        self._requests = 0
        self._half_closed = False
        self.all.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Mark the running request as disconnected.

        While a connection closes and its client takes nothing, this is not called yet.
        """
        self.all.open.discard(self)
        # uvicorn marks the latest request; with requests sent ahead, an earlier one is running.
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass received bytes on to the parser, and check the limits."""
        self._heard = self._used = self.loop.time()
        if not self._reading and self.cycle is not None and self.cycle.response_complete:
            # An empty line does not begin a request, but starts the time limit.
            self._reading, self._begun = True, self._heard
        self._progress = False
        super().data_received(data)
        # The parser buffers a header until its end, without a callback, even if it never ends.
        self._stalled = 0 if self._progress else self._stalled + len(data)
        if self._stalled > MAX_HEADER_BYTES:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin a request, or refuse it if too many were sent ahead."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS)
        super().on_message_begin()
        self._requests += 1
        self._begun = self._heard
        self._reading = self._progress = True
        self._header_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count a part of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a received header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, which asks before its answer whether that is the last one."""
        self.scope["is_last"] = self._is_last  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note progress: a part of a body arrived."""
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete; from here on the server takes the time."""
        self._reading = False
        self._progress = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Count the answer; close the connection after the last one of a half-closed client."""
        self._requests -= 1
        self._heard = self._used = self.loop.time()
        if self._half_closed and not self._requests:
            self.transport.close()
        super().on_response_complete()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection open if the client only stopped sending, and waits for answers.

        A client that left looks the same. It resets the connection when something is sent to it.
        """
        secure = self.transport.get_extra_info("sslcontext") is not None
        if secure or self._reading or not self._requests:
            self.transport.close()  # sends what this turn of the loop wrote, and was not sent yet
            return False
        self._half_closed = True
        self.loop.call_later(PROBE_SECONDS, self.probe)
        self.loop.call_later(2 * PROBE_SECONDS, self.close_if_left)
        return True

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP in the server's own error format, unless answers are still due."""
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
        """Return whether the client has sent or taken nothing for too long."""
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

    def probe(self) -> None:
        """Send an interim answer to a client that sends no more, so that its system may reset.

        Clients skip interim answers (RFC 9110, section 15.2); those of HTTP/1.0 know none.
        """
        cycle = self._running
        if cycle is None or cycle.response_started or cycle.scope["http_version"] == "1.0":
            return
        if self._half_closed or self._events() & select.POLLRDHUP:
            self.transport.write(PROBE)

    def close_if_left(self) -> None:
        """Close the connection if its client left, which the loop only sees while it reads."""
        if (self._half_closed or self.flow.read_paused) and self._events() & OVER:
            self.transport.close()

    @property
    def idle(self) -> bool:
        """Whether no request is open; one is open from its first byte to its answer."""
        return not self._requests

    def quiet(self, now: float) -> float:
        """Return the seconds since the client sent something or was answered."""
        return now - self._used

    def reset(self) -> None:
        """Close the connection at once; the system drops bytes that were not sent yet."""
        plain = self.transport.get_extra_info("socket")
        with suppress(OSError):  # it may be lost already
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self.transport.abort()

    def _events(self) -> int:
        """Return what the system reports of the connection; nothing once it is closing."""
        if self.transport.is_closing():
            return 0
        system = select.poll()
        system.register(self.transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        return sum(events for _, events in system.poll(0))

    def _is_last(self) -> bool:
        """Return whether the answer that begins now is the last one on this connection."""
        return self._requests == 1 and (self.all.closing or self._half_closed)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _refuse(self, status: HTTPStatus) -> None:
        # The parser stops at an exception, and uvicorn then calls send_400_response.
        self._refusal = status
        raise ValueError(status.phrase)
