"""Limit the memory that all requests together hold."""

from __future__ import annotations

from onnxpack.server.refusal import Refusal


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
            Refusal: 503, other requests hold too much at the moment.
        """
        if self.held + size > self.limit:
            raise Refusal(
                503, "the requests in memory reached the server's limit; try again", retry_after=1
            )
        self.held += size

    def give(self, size: int) -> None:
        """Release ``size`` bytes."""
        self.held -= size
