"""Bound the time of a request by its progress, so that no registry can hold one for ever.

A timeout for each read is not enough: a registry that sends a byte a second never meets it. Here
only progress moves the deadline: bytes of a body that were received, or bytes that were sent.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from onnxpack.oci.registry.address import httpcore, httpx

CONNECT = 10.0
"""Seconds to connect, and again for the TLS handshake: one step each, which cannot be stretched."""
_SLICE = 2**16


class Pace:
    """A deadline in one direction of one attempt; it starts with the first byte asked for.

    Args:
        timeout: seconds without progress until the deadline.
        slowest: bytes that move the deadline by one second. It is never more than ``timeout`` away,
            so a registry that was fast at first has no time saved up.
    """

    def __init__(self, timeout: float, slowest: float) -> None:
        self._timeout = timeout
        self._slowest = slowest
        self._until: float | None = None

    def left(self) -> float:
        """Return the seconds until the deadline, zero or less if it has passed."""
        if self._until is None:
            self._until = time.monotonic() + self._timeout
        return self._until - time.monotonic()

    def advance(self, size: int) -> None:
        """Move the deadline: this many bytes were transferred."""
        latest = time.monotonic() + self._timeout
        self._until = min((self._until or latest) + size / self._slowest, latest)

    def __str__(self) -> str:
        return (
            f"timed out, slower than {self._slowest:.0f} bytes per second for {self._timeout:g} s"
        )


def timeouts(timeout: float, slowest: float) -> dict[str, Any]:
    """Return what httpx hands down to the socket's stream, with new deadlines for an attempt."""
    return {
        "connect": CONNECT,
        "pool": timeout,
        "read": Pace(timeout, slowest),
        "write": Pace(timeout, slowest),
    }


class PacedTransport(httpx.HTTPTransport):
    """httpx's transport, over sockets that keep to a :class:`Pace`."""

    def __init__(self, context: ssl.SSLContext, proxy: str | None = None) -> None:
        super().__init__(verify=context, proxy=proxy)
        # httpx does not pass the backend on. If another version of httpcore ignored it, a socket
        # would be given a Pace as its timeout and raise a TypeError.
        self._pool._network_backend = _Backend()  # noqa: SLF001


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect as httpcore does, and return a stream that keeps to its pace."""
        return _Stream(self._plain.connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, plain: httpcore.NetworkStream) -> None:
        self._plain = plain

    def read(self, max_bytes: int, timeout: float | Pace | None = None) -> bytes:
        """Read what has arrived; only the reader of a body knows what of it is progress."""
        with _explained(timeout, httpcore.ReadTimeout) as seconds:
            return self._plain.read(max_bytes, seconds)

    def write(self, buffer: bytes, timeout: float | Pace | None = None) -> None:
        """Write in slices: the peer must have taken each before the deadline."""
        for start in range(0, len(buffer), _SLICE):
            piece = buffer[start : start + _SLICE]
            with _explained(timeout, httpcore.WriteTimeout) as seconds:
                self._plain.write(piece, seconds)
            if isinstance(timeout, Pace):
                timeout.advance(len(piece))

    def close(self) -> None:
        """Close the connection to the registry."""
        self._plain.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Return the stream after a TLS handshake; it keeps to its pace too."""
        return _Stream(self._plain.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks about the socket."""
        return self._plain.get_extra_info(info)


@contextmanager
def _explained(
    timeout: float | Pace | None, expired: type[httpcore.TimeoutException]
) -> Iterator[float | None]:
    """Yield the timeout of one step; its error states the pace instead of the step's seconds."""
    if not isinstance(timeout, Pace):
        yield timeout
        return
    left = timeout.left()
    try:
        if left <= 0:
            raise expired
        yield left
    except expired as exc:
        raise expired(str(timeout)) from exc
