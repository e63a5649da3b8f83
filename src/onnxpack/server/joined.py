"""A transport that sends what is written in one turn of the event loop together.

uvicorn writes the head of an answer and its body apart, and each costs a system call and wakes the
client: a third of the time of a small answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

LARGE = 64 * 1024
"""Bytes that are sent at once: what is left of them tells a writer that it has to wait."""


class JoinedWrites(asyncio.Transport):
    """Passes everything on to a transport, and what is written, a little later.

    Args:
        transport: of the connection.
        loop: its event loop.
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
        """Send bytes, before this turn of the event loop is over."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        if len(data) > LARGE:
            self._flush()

    def close(self) -> None:
        """End the connection when all was sent."""
        self._flush()
        self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        self._parts.clear()
        self._transport.abort()

    def _flush(self) -> None:
        if self._parts:
            self._transport.writelines(self._parts)
            self._parts = []
