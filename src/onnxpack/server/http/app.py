"""The ASGI application: route each request to its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from time import perf_counter
from typing import TypeAlias

from onnxpack.server.access_log import log_access
from onnxpack.server.api_keys import Keys
from onnxpack.server.errors import RequestError, bad_request, explain, not_found, status_of
from onnxpack.server.http import openapi
from onnxpack.server.http.exchange import (
    JSON_TYPE,
    DisconnectedError,
    Exchange,
    Headers,
    Message,
    Receive,
    Send,
    number,
    write_json,
)
from onnxpack.server.http.infer import parse_request, write_response
from onnxpack.server.http.origins import PREFLIGHT, Origins
from onnxpack.server.http.predict import describe_answer, read_feeds, read_top
from onnxpack.server.limits import LARGE_BODY, Budget
from onnxpack.server.models.batcher import Feeds
from onnxpack.server.models.describe import describe_model, describe_server, describe_state
from onnxpack.server.models.metrics import Metrics
from onnxpack.server.models.repository import Repository
from onnxpack.server.models.served import Served
from onnxpack.server.settings import Settings
from onnxpack.signature import Array

READ = ("GET", "HEAD")
OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
"""Paths that need no API key, since load balancers ask for them."""
SERVER_PATHS = ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models", "/metrics",
    "/openapi.json")  # fmt: skip
PAGE = {
    "/": ("index.html", b"text/html; charset=utf-8"),
    "/docs": ("docs.html", b"text/html; charset=utf-8"),
    "/page/style.css": ("style.css", b"text/css; charset=utf-8"),
    "/page/page.js": ("page.js", b"text/javascript; charset=utf-8"),
    "/page/docs.js": ("docs.js", b"text/javascript; charset=utf-8"),
}
PAGE_HEADERS = (
    (
        b"content-security-policy",
        (
            b"default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; "
            b"base-uri 'none'; form-action 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),
)

INFER_TYPES = ("application/json", "application/octet-stream", "")
"""Content types of the Open Inference Protocol; its clients often send none."""

Handler: TypeAlias = Callable[[Served, Exchange], Awaitable[tuple[Headers, bytes]]]


class App:
    """Answers the Open Inference Protocol, the plain predict endpoint, and the page.

    Args:
        repository: the served models.
        settings: settings of the server.
    """

    def __init__(self, repository: Repository, settings: Settings) -> None:
        self.repository = repository
        self.settings = settings
        self.metrics = Metrics(repository, triton_names=settings.triton_metrics)
        self.budget = Budget(settings.max_held)
        self._keys = Keys(settings.api_keys)
        self._origins = Origins(settings.host, settings.cors_origins)
        self._about = describe_server()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; nothing that a client sends makes this raise."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send, self.budget)
        start = perf_counter()
        try:
            self._origins.check(exchange)
            if self._origins:
                exchange.extra = self._origins.headers(exchange)
            await self._answer(exchange)
        except DisconnectedError:
            exchange.status = 499
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001 - the server goes on
            error = explain(exc)
            if not exchange.status:
                await exchange.refuse(error)
        finally:
            exchange.release()
        if self.settings.access_log:
            log_access(
                exchange.method,
                path=exchange.path,
                status=exchange.status,
                seconds=perf_counter() - start,
                request_id=exchange.headers.get(b"x-request-id", b""),
            )

    async def _answer(self, exchange: Exchange) -> None:
        path = exchange.path
        if exchange.method == "OPTIONS" and exchange.extra:
            await exchange.answer(204, PREFLIGHT, b"")
            return
        if self._keys and path not in OPEN_PATHS and path not in PAGE:
            self._check_key(exchange)
        if path.startswith("/v2/models/"):
            await self._model(exchange, path)
        elif path not in PAGE and path not in SERVER_PATHS:
            raise not_found(f"the path {path} does not exist; models are at /v2/models/NAME")
        elif exchange.method not in READ:
            raise _no_method(exchange, READ)
        elif path in PAGE:
            name, media = PAGE[path]
            content = files("onnxpack.server.http").joinpath("page", name).read_bytes()
            await exchange.answer(200, [(b"content-type", media), *PAGE_HEADERS], content)
        else:
            await self._server(exchange, path)

    async def _server(self, exchange: Exchange, path: str) -> None:
        """Answer requests about the server as a whole."""
        repository = self.repository
        if path == "/v2/health/live":
            await exchange.answer_json({"live": True})
        elif path == "/v2/health/ready":
            ready = repository.accepting
            await exchange.answer_json({"ready": ready}, status=200 if ready else 503)
        elif path == "/v2":
            await exchange.answer_json(self._about)
        elif path == "/v2/models":
            await exchange.answer_json({"models": [describe_state(each) for each in repository]})
        elif path == "/metrics":
            media, content = self.metrics.expose()
            await exchange.answer(200, [(b"content-type", media)], content)
        else:
            await exchange.answer_json(openapi.document(self.repository))

    async def _model(self, exchange: Exchange, path: str) -> None:
        """Answer ``/v2/models/NAME[/versions/VERSION][/ready|/infer|/predict]``."""
        parts = path[len("/v2/models/") :].split("/")
        wanted = parts[2] if len(parts) > 2 and parts[1] == "versions" else None
        action = "/".join(parts[1 if wanted is None else 3 :])
        methods = ("POST",) if action in ("infer", "predict") else READ
        if exchange.method not in methods and action in ("", "ready", "infer", "predict"):
            raise _no_method(exchange, methods)
        if action == "ready":
            await self._model_ready(exchange, parts[0], wanted)
            return
        served = self.repository.get(parts[0], wanted)
        if action == "infer":
            await self._counted(served, exchange, self._infer)
        elif action == "predict":
            await self._counted(served, exchange, self._predict)
        elif action == "":
            versions = self.repository.versions(served.name)
            await exchange.answer_json(describe_model(served, versions))
        else:
            raise not_found(f"the path {path} does not exist")

    async def _model_ready(self, exchange: Exchange, name: str, version: str | None) -> None:
        """Answer whether a model is ready; no name is known until all models are proven."""
        if self.repository.ready:
            self.repository.get(name, version)
        ready = self.repository.accepting
        told = {"name": name, "ready": ready}
        await exchange.answer_json(told, status=200 if ready else 503)

    async def _counted(self, served: Served, exchange: Exchange, handle: Handler) -> None:
        stats = served.stats
        stats.in_flight += 1
        try:
            headers, content = await handle(served, exchange)
            seconds = perf_counter() - exchange.received
            await exchange.answer(200, headers, content)
            stats.answered(seconds)
        except asyncio.CancelledError:
            stats.refused(503)  # counted as the client sees it: the time to drain is over
            raise
        except Exception as exc:
            stats.refused(status_of(exc))
            raise
        finally:
            stats.in_flight -= 1

    async def _infer(self, served: Served, exchange: Exchange) -> tuple[Headers, bytes]:
        if exchange.content_type not in INFER_TYPES:
            # Browsers send other types, such as text/plain, for any page without asking first.
            raise RequestError(
                415, f"{exchange.content_type!r} is not supported; send {INFER_TYPES[0]}"
            )
        body = await exchange.body(self.settings.max_body)
        length = _json_length(exchange)
        if len(body) > LARGE_BODY:
            request = await asyncio.to_thread(parse_request, body, length, served.signature)
        else:
            request = parse_request(body, length, served.signature)
        outputs = await _run(served, exchange, request.feeds)
        return write_response(served.name, served.version, request, outputs)

    async def _predict(self, served: Served, exchange: Exchange) -> tuple[Headers, bytes]:
        top = read_top(exchange.query)
        body = await exchange.body(self.settings.max_body)
        feeds, ignored = await read_feeds(served, exchange.content_type, body)
        outputs = await _run(served, exchange, feeds)
        return [JSON_TYPE], write_json(describe_answer(served, outputs, top, ignored))

    def _check_key(self, exchange: Exchange) -> None:
        self._keys.check(
            authorization=exchange.headers.get(b"authorization", b""),
            api_key=exchange.headers.get(b"x-api-key", b""),
        )


async def _run(served: Served, exchange: Exchange, feeds: Feeds) -> dict[str, Array]:
    """Run a request and return its outputs; cancel a waiting request if the client goes away."""
    if served.at_once(feeds):
        return await served.infer(feeds, exchange.header)
    task = asyncio.ensure_future(served.infer(feeds, exchange.header))
    gone = asyncio.ensure_future(exchange.gone())
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise DisconnectedError
        return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()


def _json_length(exchange: Exchange) -> int | None:
    value = exchange.headers.get(b"inference-header-content-length")
    if value is None:
        return None
    length = number(value)
    if length < 0:
        raise bad_request("Inference-Header-Content-Length is not a number of bytes")
    return length


def _no_method(exchange: Exchange, allowed: tuple[str, ...]) -> RequestError:
    listed = ", ".join(allowed)
    message = f"{exchange.method} is not allowed for {exchange.path}; use {listed}"
    return RequestError(405, message, allow=listed)
