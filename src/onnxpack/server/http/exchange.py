"""One HTTP request and its response, over ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any
from urllib.parse import parse_qs

import orjson

from onnxpack.server.errors import RequestError
from onnxpack.server.limits import MAX_MESSAGE, SMALL_ANSWER, Budget

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")


class DisconnectedError(RequestError):
    """The client went away; nobody waits for an answer."""

    def __init__(self) -> None:
        super().__init__(499, "the client went away")


class Exchange:
    """A request, and the methods to answer it.

    Args:
        scope: ASGI's connection scope.
        receive: ASGI callable that returns the parts of the body.
        send: ASGI callable that takes the parts of the answer.
        budget: limit of the memory that requests hold.

    Attributes:
        received: time when the body was complete, by ``perf_counter``.
        status: status of the answer; 0 before it is sent.
        extra: headers of every answer to this request.
    """

    __slots__ = (
        "_budget", "_held", "_is_last", "_receive", "_send", "extra", "headers", "method", "path",
        "query_string", "received", "status",
    )  # fmt: skip

    def __init__(self, scope: Message, receive: Receive, send: Send, budget: Budget) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.received = 0.0
        self.status = 0
        self.extra: Headers = []
        self._receive = receive
        self._send = send
        self._is_last: Callable[[], bool] = scope.get("is_last", _never)
        self._budget = budget
        self._held = 0

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; the last value of a parameter that is given twice."""
        parsed = parse_qs(self.query_string.decode("latin-1"))
        return {name: values[-1] for name, values in parsed.items()}

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        value = self.headers.get(b"content-type", b"")
        return value.partition(b";")[0].strip().lower().decode("latin-1")

    def header(self, name: str) -> str:
        """Return the header of a lower-case name, or an empty string."""
        return self.headers.get(name.encode("latin-1"), b"").decode("latin-1")

    async def body(self, limit: int) -> bytes:
        """Return the whole body of the request.

        Raises:
            RequestError: 413, the body is larger than ``limit`` bytes; 503, all bodies are too
                large together.
            DisconnectedError: the client went away before the end of the body.
        """
        declared = self.headers.get(b"content-length", b"0")
        if number(declared) > limit:
            raise _too_large(limit)
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            content: bytes = message.get("body", b"")
            self.received = perf_counter()
            if len(content) > limit:
                raise _too_large(limit)
            self._hold(len(content))
            return content
        return await self._rest(message, limit)

    async def gone(self) -> None:
        """Wait until the client has gone away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, status: int, headers: Headers, content: bytes) -> None:
        """Send the complete answer with its headers."""
        if len(content) > SMALL_ANSWER:
            self._hold(len(content))
        self.status = status
        length = (b"content-length", str(len(content)).encode())
        request_id = self.headers.get(b"x-request-id")
        if request_id is not None:
            headers = [*headers, (b"x-request-id", request_id[:128])]
        if self._is_last():
            headers = [*headers, CLOSE]
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*headers, *self.extra, length],
            }
        )
        if len(content) <= SMALL_ANSWER:
            await self._send({"type": "http.response.body", "body": content})
            return
        await self._send({"type": "http.response.body", "body": content, "more_body": True})
        # Sending this second part waits until the connection has little left to send.
        await self._send({"type": "http.response.body", "body": b""})

    async def answer_json(self, value: Any, *, status: int = 200) -> None:
        """Send a value as a JSON answer."""
        await self.answer(status, [JSON_TYPE], write_json(value))

    async def refuse(self, error: RequestError) -> None:
        """Send an error in the protocol's format."""
        content = orjson.dumps({"error": error.message[:MAX_MESSAGE]})
        await self.answer(error.status, [JSON_TYPE, *error.headers], content)

    def release(self) -> None:
        """Release the memory that was counted for this request."""
        self._budget.give(self._held)
        self._held = 0

    def _hold(self, size: int) -> None:
        self._budget.take(size)
        self._held += size

    async def _rest(self, message: Message, limit: int) -> bytes:
        parts, size = list[bytes](), 0
        while True:
            if message["type"] == "http.disconnect":
                raise DisconnectedError
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            self._hold(len(part))
            parts.append(part)
            if not message.get("more_body", False):
                self.received = perf_counter()
                return b"".join(parts)
            message = await self._receive()


def write_json(value: Any) -> bytes:
    """Return a value as JSON, with arrays as nested lists."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(value, option=options)


def number(digits: bytes) -> int:
    """Return the number in a header; -1 if it is not a number."""
    return int(digits) if digits.isdigit() and len(digits) < 20 else -1


def _never() -> bool:
    """Return that the connection stays open, where nothing says otherwise."""
    return False


def _too_large(limit: int) -> RequestError:
    return RequestError(413, f"the body is larger than {limit} bytes")
