"""A bound on what all requests together hold in memory."""

from __future__ import annotations

from onnxpack.server.refusal import Refusal


class Budget:
    """Bytes of bodies and answers that are held at once, over all connections.

    Args:
        limit: in bytes.
    """

    __slots__ = ("held", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0

    def take(self, size: int) -> None:
        """Hold ``size`` bytes more.

        Raises:
            Refusal: 503, others hold too much at the moment.
        """
        if self.held + size > self.limit:
            raise Refusal(503, "the server holds as much as it may; try again", retry_after=1)
        self.held += size

    def give(self, size: int) -> None:
        """Hold ``size`` bytes less."""
        self.held -= size
