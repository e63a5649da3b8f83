"""A transport that sends together what is written in one turn of the event loop.

uvicorn writes the head and the body of an answer separately. Each write costs a system call and
wakes the client: a third of the time of a small answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

LARGE = 64 * 1024
"""Bytes that are sent at once, so that a writer sees how many are unsent and can wait."""


class JoinedWrites(asyncio.Transport):
    """Forwards to a transport, and delays writes until the end of the event loop's turn.

    Args:
        transport: transport of the connection.
        loop: event loop of the connection.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self.get_extra_info = transport.get_extra_info  # type: ignore[method-assign]
        self.is_closing = transport.is_closing  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]
        self.get_write_buffer_size = transport.get_write_buffer_size  # type: ignore[method-assign]

    def write(self, data: Any) -> None:
        """Send bytes before this turn of the event loop is over."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        if len(data) > LARGE:
            self._flush()

    def close(self) -> None:
        """Close the connection after everything is sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once, without sending the rest."""
        self._parts.clear()
        self._transport.abort()

    def _flush(self) -> None:
        # A client may leave within the turn; a transport that is lost raises at every write.
        if self._parts and not self._transport.is_closing():
            self._transport.writelines(self._parts)
        self._parts = []
