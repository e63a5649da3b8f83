"""Limits that HTTP and gRPC share: sizes, and the memory that all requests together hold."""

from __future__ import annotations

from onnxpack.server.errors import RequestError

MAX_MESSAGE = 1000
"""Most characters of an error message, which may repeat what a client sent."""
SMALL_ANSWER = 64 * 1024
"""Bytes that a connection takes at once; memory of a larger answer is counted until it is sent."""
LARGE_BODY = 2**20
"""Bodies larger than this, in bytes, are read in a thread, so that others are answered."""


class Budget:
    """Counts the bytes of bodies and answers held at once, over all connections.

    Args:
        limit: most bytes.
    """

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Reserve ``size`` bytes.

        Raises:
            RequestError: 503, other requests hold too much at the moment.
        """
        if self.held + size > self.limit:
            raise RequestError(
                503, "the requests in memory reached the server's limit; try again", retry_after=1
            )
        self.held += size

    def give(self, size: int) -> None:
        """Release ``size`` bytes."""
        self.held -= size
