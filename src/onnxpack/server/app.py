"""The ASGI application: from paths to what answers them."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Coroutine
from importlib.metadata import version
from importlib.resources import files
from time import perf_counter, time
from typing import Any, TypeVar

import orjson

from onnxpack.errors import FeedError, OnnxpackError
from onnxpack.server import openapi
from onnxpack.server.describe import describe_model, describe_state
from onnxpack.server.exchange import Disconnected, Exchange, Message, Receive, Send
from onnxpack.server.metrics import Metrics
from onnxpack.server.predict import predict
from onnxpack.server.protocol import parse_request, write_response
from onnxpack.server.refusal import Refusal, bad_request, not_found
from onnxpack.server.repository import Repository
from onnxpack.server.served import Served
from onnxpack.server.settings import Settings

T = TypeVar("T")
OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
"""Paths that need no key: what a load balancer asks."""
PAGE = {
    "/": ("index.html", b"text/html; charset=utf-8"),
    "/docs": ("docs.html", b"text/html; charset=utf-8"),
    "/page/style.css": ("style.css", b"text/css; charset=utf-8"),
    "/page/page.js": ("page.js", b"text/javascript; charset=utf-8"),
    "/page/docs.js": ("docs.js", b"text/javascript; charset=utf-8"),
}
PAGE_HEADERS = (
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data: blob:"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),
)
_errors = logging.getLogger("onnxpack.server")
_access = logging.getLogger("onnxpack.access")


class App:
    """Answers the Open Inference Protocol, the plain endpoint, and the page.

    Args:
        repository: the models.
        settings: of the server.
    """

    def __init__(self, repository: Repository, settings: Settings) -> None:
        self.repository = repository
        self.settings = settings
        self.metrics = Metrics(repository, triton_names=settings.triton_metrics)
        self._keys = tuple(key.encode() for key in settings.api_keys)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; nothing that a client sends makes this raise."""
        if scope["type"] != "http":
            return
        exchange = Exchange(scope, receive, send)
        start = perf_counter()
        try:
            await self._answer(exchange)
        except Disconnected:
            exchange.status = 499
        except Refusal as refusal:
            await exchange.refuse(refusal)
        except FeedError as exc:
            await exchange.refuse(bad_request(exc.message))
        except OnnxpackError:
            _errors.exception("a model failed")
            await exchange.refuse(Refusal(500, "the model failed on this input"))
        except Exception:  # noqa: BLE001 - one request must never end the server
            _errors.exception("a request failed")
            if not exchange.status:
                await exchange.refuse(Refusal(500, "internal error"))
        if self.settings.access_log:
            _log(exchange, perf_counter() - start)

    async def _answer(self, exchange: Exchange) -> None:
        path = exchange.path
        if self._keys and path not in OPEN_PATHS and path not in PAGE:
            self._check_key(exchange)
        if path.startswith("/v2/models/"):
            await self._model(exchange, path)
        elif exchange.method not in ("GET", "HEAD"):
            raise _no_method(exchange, "GET")
        elif path in PAGE:
            name, media = PAGE[path]
            content = files("onnxpack.server").joinpath("page", name).read_bytes()
            await exchange.answer(200, [(b"content-type", media), *PAGE_HEADERS], content)
        else:
            await self._server(exchange, path)

    async def _server(self, exchange: Exchange, path: str) -> None:
        """What is asked of the server as a whole."""
        repository = self.repository
        if path == "/v2/health/live":
            await exchange.answer_json({"live": True})
        elif path == "/v2/health/ready":
            ready = repository.ready and not repository.draining
            await exchange.answer_json({"ready": ready}, status=200 if ready else 503)
        elif path == "/v2":
            await exchange.answer_json(
                {
                    "name": "onnxpack",
                    "version": version("onnxpack"),
                    "extensions": ["binary_tensor_data"],
                }
            )
        elif path == "/v2/models":
            await exchange.answer_json({"models": [describe_state(each) for each in repository]})
        elif path == "/metrics":
            media, content = self.metrics.expose()
            await exchange.answer(200, [(b"content-type", media)], content)
        elif path == "/openapi.json":
            await exchange.answer_json(openapi.document(self.repository))
        else:
            raise not_found(f"there is nothing at {path}")

    async def _model(self, exchange: Exchange, path: str) -> None:
        """``/v2/models/NAME[/versions/VERSION][/ready|/infer|/predict]``."""
        parts = path[len("/v2/models/") :].split("/")
        wanted = parts[2] if len(parts) > 2 and parts[1] == "versions" else None
        action = "/".join(parts[1 if wanted is None else 3 :])
        method = "POST" if action in ("infer", "predict") else "GET"
        if exchange.method != method and action in ("", "ready", "infer", "predict"):
            raise _no_method(exchange, method)
        served = self.repository.get(parts[0], wanted)
        if action == "infer":
            await self._counted(served, exchange, self._infer)
        elif action == "predict":
            await self._counted(served, exchange, self._predict)
        elif action == "ready":
            await exchange.answer_json({"name": served.name, "ready": True})
        elif action == "":
            versions = self.repository.versions(served.name)
            await exchange.answer_json(describe_model(served, versions))
        else:
            raise not_found(f"there is nothing at {path}")

    async def _counted(
        self,
        served: Served,
        exchange: Exchange,
        handle: Callable[[Served, Exchange], Awaitable[None]],
    ) -> None:
        stats = served.stats
        stats.in_flight += 1
        try:
            await handle(served, exchange)
        except Refusal as refusal:
            stats.refused(refusal.status)
            raise
        except FeedError:
            stats.refused(400)
            raise
        except OnnxpackError:
            stats.refused(500)
            raise
        finally:
            stats.in_flight -= 1

    async def _infer(self, served: Served, exchange: Exchange) -> None:
        body = await exchange.body(self.settings.max_body)
        request = parse_request(body, _json_length(exchange), served.signature)
        outputs = await _unless_gone(served, exchange, served.infer(request.feeds))
        headers, content = write_response(served.name, served.version, request, outputs)
        await exchange.answer(200, headers, content)

    async def _predict(self, served: Served, exchange: Exchange) -> None:
        body = await exchange.body(self.settings.max_body)
        answer = predict(served, exchange.content_type, body, exchange.query)
        await exchange.answer_json(await _unless_gone(served, exchange, answer))

    def _check_key(self, exchange: Exchange) -> None:
        given = exchange.headers.get(b"x-api-key", b"")
        scheme, _, token = exchange.headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            given = token.strip()
        # Every key is compared, so that the time does not tell which came near.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        if not any(matches):
            raise Refusal(401, "an API key is needed: Authorization: Bearer KEY")


async def _unless_gone(served: Served, exchange: Exchange, answer: Coroutine[Any, Any, T]) -> T:
    """Await an answer; where it has to wait for a session, drop it if the client goes away."""
    if served.policy.inline:
        return await answer
    task = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(exchange.gone())
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Disconnected
        return task.result()
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()


def _json_length(exchange: Exchange) -> int | None:
    value = exchange.headers.get(b"inference-header-content-length")
    if value is None:
        return None
    if not value.isdigit():
        raise bad_request("Inference-Header-Content-Length is not a number of bytes")
    return int(value)


def _no_method(exchange: Exchange, allowed: str) -> Refusal:
    return Refusal(405, f"{exchange.method} is not for {exchange.path}; use {allowed}")


def _log(exchange: Exchange, seconds: float) -> None:
    record = {
        "time": round(time(), 3),
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "seconds": round(seconds, 6),
        "request_id": exchange.headers.get(b"x-request-id", b"").decode("latin-1") or None,
    }
    _access.info(orjson.dumps(record).decode())
