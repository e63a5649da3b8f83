"""Errors that are sent to clients, with their HTTP status.

Only this module gives statuses their meaning.
"""

from __future__ import annotations

import asyncio
import logging

from onnxpack.errors import FeedError, OnnxpackError

_errors = logging.getLogger("onnxpack.server")


class RequestError(Exception):
    """The answer to a request that cannot be served.

    Args:
        status: HTTP status.
        message: message for the client; contains no local path and no traceback.
        retry_after: seconds after which a retry may succeed.
        allow: methods that the path allows, if the method was wrong.
    """

    def __init__(
        self, status: int, message: str, *, retry_after: int | None = None, allow: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after
        self.allow = allow

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers of the answer, in addition to its message."""
        headers = []
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        if self.allow:
            headers.append((b"allow", self.allow.encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        return headers


def bad_request(message: str) -> RequestError:
    """Return status 400: the request itself is wrong."""
    return RequestError(400, message)


def not_found(message: str) -> RequestError:
    """Return status 404: the path, model or version does not exist."""
    return RequestError(404, message)


def status_of(exc: BaseException) -> int:
    """Return the status under which an exception is counted; 499 for a request that was dropped."""
    if isinstance(exc, RequestError):
        return exc.status
    if isinstance(exc, asyncio.CancelledError):
        return 499
    return 400 if isinstance(exc, FeedError) else 500


def explain(exc: BaseException) -> RequestError:
    """Return the error to send to the client; errors that clients cannot cause are logged."""
    if isinstance(exc, RequestError):
        return exc
    if isinstance(exc, FeedError):
        return bad_request(exc.message)
    if isinstance(exc, asyncio.CancelledError):
        return RequestError(503, "the server is shutting down", retry_after=1)
    _errors.error("a request failed", exc_info=exc)
    told = "the model failed on this input" if isinstance(exc, OnnxpackError) else "internal error"
    return RequestError(500, told)
