"""One gRPC request and its answer, within the same limits as HTTP.

Every method, even a unary one, reads and writes its own messages. So an API key is checked before a
message is read, and reading is limited in memory and time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from onnxpack.server.access_log import log_access
from onnxpack.server.api_keys import Keys
from onnxpack.server.errors import RequestError, bad_request, explain
from onnxpack.server.limits import LARGE_BODY, MAX_MESSAGE, SMALL_ANSWER, Budget
from onnxpack.server.models.repository import Repository
from onnxpack.server.settings import Settings

T = TypeVar("T")
SMALL_REQUEST = 64 * 1024
"""Most bytes of a request without a tensor."""
QUIET_SECONDS = 0.1
"""Seconds without a new call after which no more is expected to come."""
AWAY_SECONDS = 1.0
"""Most seconds in which new calls are refused before the library stops."""
POLL_SECONDS = 0.1
"""Seconds between checks whether the server changed, in a stream that waits."""
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    # Not RESOURCE_EXHAUSTED, which 429 becomes: a retry does not help.
    413: grpc.StatusCode.OUT_OF_RANGE,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""The gRPC code of each HTTP status; all others are INTERNAL."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a gRPC service.

    Attributes:
        path: path on the wire.
        serve: function that reads from a call and writes to it.
        open: whether the method needs no API key.
        limit: most bytes of a message.
    """

    path: str
    serve: Callable[[Call], Awaitable[None]]
    open: bool = False
    limit: int = SMALL_REQUEST


class Gate:
    """Creates the handlers of a server, and checks keys and limits for each call.

    Args:
        repository: the served models.
        settings: settings of the server.
        budget: limit of the memory that requests hold.
    """

    def __init__(self, repository: Repository, settings: Settings, budget: Budget) -> None:
        self.repository = repository
        self.settings = settings
        self.budget = budget
        # The size of a message is unknown until it is read, so assume the largest.
        self.reading = asyncio.Semaphore(max(1, settings.max_held // settings.max_body))
        self._keys = Keys(settings.api_keys)
        self._calls: set[asyncio.Task[None]] = set()
        self._latest = 0.0
        self._refusing = self._cutting = False

    async def turn_away(self) -> None:
        """Refuse new calls as UNAVAILABLE, until their clients come with no more.

        When the gRPC library stops, it ends a call that is on its way as CANCELLED, which clients
        do not retry. UNAVAILABLE and its pushback make them wait, and then reach another server.
        """
        loop = asyncio.get_running_loop()
        self._refusing = True
        self._latest = begun = loop.time()
        while (now := loop.time()) < min(self._latest + QUIET_SECONDS, begun + AWAY_SECONDS):
            await asyncio.sleep(self._latest + QUIET_SECONDS - now)

    def cut(self) -> None:
        """End the open calls as UNAVAILABLE."""
        self._cutting = True
        for call in self._calls:
            call.cancel()

    def handler(self, method: Method) -> Any:
        """Return the grpc.aio handler for a method."""

        async def handle(_requests: Any, context: Any) -> None:
            await self._handle(method, Call(context, self, method.limit))

        # On the wire, a unary method is a stream with one message.
        return grpc.stream_stream_rpc_method_handler(handle)

    async def _handle(self, method: Method, call: Call) -> None:
        start = perf_counter()
        self._latest = asyncio.get_running_loop().time()
        code = grpc.StatusCode.OK
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - grpc.aio runs each handler in a task
        self._calls.add(task)
        try:
            if not method.open:
                self._check_key(call)
                self._check_open()
            await method.serve(call)
        except (Exception, asyncio.CancelledError) as exc:
            if isinstance(exc, asyncio.CancelledError) and not self._cutting:
                code = grpc.StatusCode.CANCELLED  # the client left
                raise
            error = explain(exc)
            code = CODES.get(error.status, grpc.StatusCode.INTERNAL)
            await call.refuse(code, error)
        finally:
            self._calls.discard(task)
            call.release()
            if self.settings.access_log:
                request_id = call.metadata.get("x-request-id", b"")
                log_access("gRPC", method.path, code.name, perf_counter() - start, request_id)

    def _check_open(self) -> None:
        if self._refusing:
            raise RequestError(503, "the server is shutting down", retry_after=1)

    def _check_key(self, call: Call) -> None:
        if self._keys:
            metadata = call.metadata
            self._keys.check(
                authorization=metadata.get("authorization", b""),
                api_key=metadata.get("x-api-key", b""),
            )


class Call:
    """A request, and the methods to answer it.

    Args:
        context: grpc.aio's context of the call.
        gate: limits and key check of the server.
        limit: most bytes of a message.

    Attributes:
        received: time when the last message was complete, by ``perf_counter``.
    """

    __slots__ = ("_context", "_gate", "_held", "_limit", "received")

    def __init__(self, context: Any, gate: Gate, limit: int) -> None:
        self._context = context
        self._gate = gate
        self._limit = limit
        self._held = 0
        self.received = 0.0

    @property
    def metadata(self) -> dict[str, bytes]:
        """The metadata that the client sent; the last value of a key that is given twice."""
        sent = self._context.invocation_metadata() or ()
        return {key: value.encode() if isinstance(value, str) else value for key, value in sent}

    def header(self, name: str) -> str:
        """Return a value of the metadata by its key, or an empty string."""
        return self.metadata.get(name, b"").decode("latin-1")

    async def read(self, kind: Any) -> Any:
        """Return the only message of a unary request.

        Raises:
            RequestError: the message is missing or malformed (400), too large (413), or too slow
                (408), or others hold too much memory (503).
        """
        message = await self._read(kind)
        if message is None:
            raise bad_request("the request has no message")
        return message

    async def next(self, kind: Any) -> Any:
        """Return the next message of a stream; None at its end.

        Raises:
            RequestError: as in ``read``; also 503 if the server is shutting down.
        """
        self.release()
        reading = asyncio.ensure_future(self._read(kind))
        try:
            while not reading.done():
                if self._gate.repository.draining:
                    raise RequestError(503, "the server is shutting down", retry_after=1)
                await asyncio.wait([reading], timeout=POLL_SECONDS)
            return reading.result()
        finally:
            reading.cancel()

    async def write(self, message: Any) -> None:
        """Send a message to the client.

        Raises:
            RequestError: as in ``encode`` and ``send``.
        """
        await self.send(self.encode(message))

    def encode(self, message: Any) -> bytes:
        """Return a message in its encoded form.

        Raises:
            RequestError: 503, other requests hold too much memory.
        """
        content: bytes = message.SerializeToString()
        if len(content) > SMALL_ANSWER:
            self._hold(len(content))
        return content

    async def send(self, content: bytes) -> None:
        """Send an encoded message.

        Raises:
            RequestError: 408, the client does not take it.
        """
        untaken = RequestError(408, "the client did not read the answer in time")
        await _within(self._gate.settings.read_timeout, self._context.write(content), untaken)

    async def refuse(self, code: Any, error: RequestError) -> None:
        """End the call with an error status."""
        # Clients accept 8 KiB of metadata, in which a byte can take three.
        message = error.message[:MAX_MESSAGE].encode()[:MAX_MESSAGE].decode(errors="ignore")
        trailing: tuple[tuple[str, str], ...] = ()
        if error.retry_after is not None:
            trailing = (("grpc-retry-pushback-ms", str(error.retry_after * 1000)),)
        await self._context.abort(code, message, trailing)

    def release(self) -> None:
        """Release the memory that was counted for this request."""
        self._gate.budget.give(self._held)
        self._held = 0

    def _hold(self, size: int) -> None:
        self._gate.budget.take(size)
        self._held += size

    async def _read(self, kind: Any) -> Any:
        content = await self._content()
        if content is None:
            return None
        if len(content) > self._limit:
            raise RequestError(413, f"the message is larger than {self._limit} bytes")
        try:
            if len(content) > LARGE_BODY:
                return await asyncio.to_thread(kind.FromString, content)
            return kind.FromString(content)
        except DecodeError as exc:
            raise bad_request(f"the message is not a valid {kind.DESCRIPTOR.full_name}") from exc

    async def _content(self) -> bytes | None:
        gate = self._gate
        busy = RequestError(
            503, "the requests being read reached the server's limit; try again", retry_after=1
        )
        await _within(gate.settings.timeout, gate.reading.acquire(), busy)
        try:
            late = RequestError(408, "the message did not arrive in time")
            content = await _within(gate.settings.read_timeout, self._context.read(), late)
            if content is grpc.aio.EOF:
                return None
            self.received = perf_counter()
            self._hold(len(content))
            return bytes(content)
        finally:
            gate.reading.release()


async def _within(seconds: float, waiting: Awaitable[T], error: RequestError) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await waiting
    except TimeoutError:
        raise error from None
