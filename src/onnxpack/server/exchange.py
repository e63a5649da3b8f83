"""One HTTP request and its answer, over ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any
from urllib.parse import parse_qs

import orjson

from onnxpack.server.budget import Budget
from onnxpack.server.refusal import Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")
MAX_MESSAGE = 1000
"""Characters of a refusal: it may repeat what a client sent."""
SMALL_ANSWER = 64 * 1024
"""Bytes that a connection takes at once; a larger answer is held until its client took it."""


class Disconnected(Refusal):
    """The client went away; nobody waits for an answer."""

    def __init__(self) -> None:
        super().__init__(499, "the client went away")


class Exchange:
    """A request, and the means to answer it.

    Args:
        scope: ASGI's connection scope.
        receive: gives the parts of the body.
        send: takes the parts of the answer.
        budget: of what is held in memory.

    Attributes:
        received: when the body was there, by ``perf_counter``.
        status: of the answer; 0 before there is one.
    """

    __slots__ = (
        "_budget", "_held", "_receive", "_send", "headers", "method", "path", "query_string",
        "received", "status",
    )  # fmt: skip

    def __init__(self, scope: Message, receive: Receive, send: Send, budget: Budget) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.received = 0.0
        self.status = 0
        self._receive = receive
        self._send = send
        self._budget = budget
        self._held = 0

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of one given twice, the last."""
        parsed = parse_qs(self.query_string.decode("latin-1"))
        return {name: values[-1] for name, values in parsed.items()}

    @property
    def content_type(self) -> str:
        """The media type of the body, without parameters."""
        value = self.headers.get(b"content-type", b"")
        return value.partition(b";")[0].strip().lower().decode("latin-1")

    def header(self, name: str) -> str:
        """Return a header by its name in small letters; empty where there is none."""
        return self.headers.get(name.encode("latin-1"), b"").decode("latin-1")

    async def body(self, limit: int) -> bytes:
        """Return the whole body.

        Raises:
            Refusal: 413, it is larger than ``limit`` bytes; 503, all bodies together are too large.
            Disconnected: the client went away before its end.
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
        """Return when the client has gone away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, status: int, headers: Headers, content: bytes) -> None:
        """Send the whole answer."""
        if len(content) > SMALL_ANSWER:
            self._hold(len(content))
        self.status = status
        length = (b"content-length", str(len(content)).encode())
        request_id = self.headers.get(b"x-request-id")
        if request_id is not None:
            headers = [*headers, (b"x-request-id", request_id[:128])]
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [*headers, length]}
        )
        if len(content) <= SMALL_ANSWER:
            await self._send({"type": "http.response.body", "body": content})
            return
        await self._send({"type": "http.response.body", "body": content, "more_body": True})
        # This second part waits until the connection has little left to send.
        await self._send({"type": "http.response.body", "body": b""})

    async def answer_json(self, value: Any, *, status: int = 200) -> None:
        """Send a value as JSON."""
        await self.answer(status, [JSON_TYPE], write_json(value))

    async def refuse(self, refusal: Refusal) -> None:
        """Send the protocol's error."""
        content = orjson.dumps({"error": refusal.message[:MAX_MESSAGE]})
        await self.answer(refusal.status, [JSON_TYPE, *refusal.headers], content)

    def release(self) -> None:
        """Give back what was held in memory."""
        self._budget.give(self._held)
        self._held = 0

    def _hold(self, size: int) -> None:
        self._budget.take(size)
        self._held += size

    async def _rest(self, message: Message, limit: int) -> bytes:
        parts, size = list[bytes](), 0
        while True:
            if message["type"] == "http.disconnect":
                raise Disconnected
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
    """Return a value as JSON, arrays as nested lists."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(value, option=options)


def number(digits: bytes) -> int:
    """What a header counts; -1 where it is no number."""
    return int(digits) if digits.isdigit() and len(digits) < 20 else -1


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"the body is larger than {limit} bytes")
