"""Registries that lie, drip, never end, or send their client elsewhere."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from trial import Attack

from onnxpack.oci import media

PATIENCE = 270.0
"""Seconds in which a client has to give up on a registry that is too slow: four attempts of a
minute, and the waits between them."""


def attacks(pack: Path, work: Path) -> Iterator[Attack]:
    """Yield each registry with a build on a base that it is said to have."""
    with _serving() as address:
        for name in _ANSWERS:
            to = work / f"{name.replace(' ', '-')}-image"
            base = f"{address}/{name.replace(' ', '-')}/x:1"
            yield Attack(
                name, (("image", str(pack), "--base", base, "-o", str(to)),), bound=PATIENCE,
                environment={"XDG_CACHE_HOME": str(work / "cache")}, after=_nothing_at(to),
            )  # fmt: skip


def _nothing_at(path: Path) -> Callable[[], str]:
    return lambda: f"{path.name} was written" if path.exists() else ""


class _Handler(BaseHTTPRequestHandler):
    """Answer each request as the second part of its path asks; the first is ``v2``."""

    def do_GET(self) -> None:
        name = self.path.split("/")[2] if self.path.count("/") > 1 else ""
        answer = {each.replace(" ", "-"): made for each, made in _ANSWERS.items()}.get(name)
        with suppress(OSError):  # the client goes away, as it should
            (answer or _empty)(self)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@contextmanager
def _serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def _empty(handler: _Handler) -> None:
    handler.say(200)


def _drip(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", media.MANIFEST)
    handler.send_header("Content-Length", str(10**6))
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        time.sleep(0.5)


def _drip_headers(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-More: 1\r\n")
        time.sleep(0.5)


def _endless_headers(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X-More: " + b"1" * 1000 + b"\r\n")


def _endless_body(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", media.MANIFEST)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 2**20)


def _silent(_: _Handler) -> None:
    threading.Event().wait(PATIENCE + 30)


def _round(handler: _Handler) -> None:
    handler.say(307, Location=handler.path)


def _elsewhere(url: str) -> Callable[[_Handler], None]:
    return lambda handler: handler.say(307, Location=url)


def _document(content: Any, kind: str) -> Callable[[_Handler], None]:
    return lambda handler: handler.say(200, json.dumps(content).encode(), Content_Type=kind)


def _layers(count: int, size: int) -> dict[str, Any]:
    each = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "sha256:" + "0" * 64}
    return {
        "schemaVersion": 2, "mediaType": media.MANIFEST, "config": {**each, "size": size},
        "layers": [{**each, "size": size}] * count,
    }  # fmt: skip


def _realm(url: str) -> Callable[[_Handler], None]:
    said = f'Bearer realm="{url}",service="x"'
    return lambda handler: handler.say(401, WWW_Authenticate=said)


_ANSWERS: dict[str, Callable[[_Handler], None]] = {
    "drips a manifest": _drip,
    "drips headers": _drip_headers,
    "headers without end": _endless_headers,
    "a manifest without end": _endless_body,
    "never answers": _silent,
    "redirects in circles": _round,
    "redirects to a file": _elsewhere("file:///etc/passwd"),
    "redirects to plain http": _elsewhere("http://192.0.2.1/v2/"),
    "a realm that is a file": _realm("file:///etc/passwd"),
    "a realm elsewhere": _realm("http://192.0.2.1/token"),
    "a million layers": _document(_layers(10**5, 1), media.MANIFEST),
    "a layer of 2 to the 62 bytes": _document(_layers(1, 2**62), media.MANIFEST),
    "an index of itself": _document({"schemaVersion": 2, "manifests": []}, media.INDEX),
    "a manifest that is none": _document([], media.MANIFEST),
    "no answer at all": lambda handler: handler.connection.close(),
    "always busy": lambda handler: handler.say(429, Retry_After="100000"),
}
