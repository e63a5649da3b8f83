"""Listening sockets: bind them, and close them without losing a client that got in.

A client is in as soon as the system has shaken hands with it, before this process accepts it.
Closing a listening socket resets every client that was not accepted yet. Several processes may
hold the same socket; it is closed when the last of them closes it.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

from onnxpack.errors import UsageError
from onnxpack.server.settings import Settings

BACKLOG = 2048
HANDSHAKE_SECONDS = 0.02
"""Seconds that a handshake which began before ``turn_away`` has to finish: a round trip."""

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h; the socket module has no name for it
_FLAGS, _ACK = 13, 0x10  # RFC 9293, section 3.1: offset of the flags in TCP's header, and ACK
# linux/filter.h: code, jump if true, jump if false, operand.
_ONLY_ACK = (
    (0x30, 0, 0, _FLAGS),  # load the byte of flags
    (0x45, 0, 1, _ACK),  # if ACK is not set, skip the next line
    (0x06, 0, 0, 0xFFFFFFFF),  # keep the packet
    (0x06, 0, 0, 0),  # drop it
)


def bind(settings: Settings) -> socket.socket:
    """Return a socket that listens on the address of HTTP.

    Raises:
        UsageError: the address cannot be bound.
    """
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as exc:
        # Only the system's own message; an unknown host name has no errno.
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror
        raise UsageError(
            f"{settings.host}:{settings.port} cannot be bound: {reason}.",
            remedy="--port 0 picks a free one",
        ) from exc


def turn_away(listener: socket.socket) -> None:
    """Let no new client begin a handshake, in any process; clients that began one finish it.

    Without this, a client can get in between the last ``accept`` and the close. The system drops
    the new client's packet, so the client tries again after a second. Where the system has no such
    filter, that moment remains.
    """
    code = b"".join(struct.pack("HBBI", *each) for each in _ONLY_ACK)
    held = ctypes.create_string_buffer(code)
    program = struct.pack("HP", len(_ONLY_ACK), ctypes.addressof(held))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """Accept the clients that got in and were not accepted yet."""
    listener.setblocking(False)
    with suppress(BlockingIOError, ConnectionAbortedError):
        while True:
            client, _ = listener.accept()
            client.setblocking(False)
            yield client
