"""``onnxpack.serve``: from packs to a listening process, and to its graceful end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from onnxpack.errors import UsageError
from onnxpack.pack.model import Pack
from onnxpack.server.app import App
from onnxpack.server.connection import Connection
from onnxpack.server.repository import Repository, find_packs
from onnxpack.server.settings import Settings

BACKLOG = 2048
MAX_CONNECTIONS = 4096


def serve(
    packs: str | Path | Pack | Iterable[str | Path | Pack],
    settings: Settings | None = None,
    *,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Serve packs until SIGTERM or Ctrl-C.

    It listens at once, and is ready when every pack has given its golden data here. Answers in
    flight are finished before it ends.

    Args:
        packs: packs, their paths, or folders of packs.
        settings: how; see :class:`Settings`.
        announce: told the address when the server is ready.

    Raises:
        PackError: a path holds no pack.
        ParityError: a model answers differently here from its golden data.
        UsageError: the address cannot be bound.
    """
    settings = settings or Settings()
    listed = [packs] if isinstance(packs, str | Path | Pack) else list(packs)
    opened = [each for each in listed if isinstance(each, Pack)]
    found = (*opened, *find_packs(each for each in listed if not isinstance(each, Pack)))
    with _bound(settings) as listener:
        if settings.workers > 1:
            from onnxpack.server.workers import run_workers

            run_workers(found, settings, listener, announce)
        else:
            serve_on(listener, found, settings, announce)


def serve_on(
    listener: socket.socket,
    packs: Iterable[Pack],
    settings: Settings,
    announce: Callable[[str], None] | None,
) -> None:
    """Serve on a socket that listens, in this process."""
    repository = Repository()
    config = uvicorn.Config(
        App(repository, settings),
        http=type("BoundConnection", (Connection,), {"read_timeout": settings.read_timeout}),
        loop="uvloop",
        lifespan="off",
        ws="none",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=int(settings.drain),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    server = _Server(config, repository, tuple(packs), settings, announce)
    server.run(sockets=[listener])
    if server.failure is not None:
        raise server.failure


class _Server(uvicorn.Server):
    """uvicorn's server, which proves its models while it already listens."""

    def __init__(
        self,
        config: uvicorn.Config,
        repository: Repository,
        packs: tuple[Pack, ...],
        settings: Settings,
        announce: Callable[[str], None] | None,
    ) -> None:
        super().__init__(config)
        self.failure: BaseException | None = None
        self._repository = repository
        self._packs = packs
        self._settings = settings
        self._announce = announce

    async def main_loop(self) -> None:
        """Prove the models beside uvicorn's own loop."""
        opening = asyncio.ensure_future(self._open(self.servers[0].sockets[0].getsockname()))
        sweeping = asyncio.ensure_future(Connection.sweep())
        try:
            await super().main_loop()
        finally:
            sweeping.cancel()
            if not opening.done():
                await asyncio.wait([opening])
            self._repository.draining = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is in flight, then let the sessions go."""
        await super().shutdown(sockets)
        self._repository.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Turn not ready at the first signal."""
        self._repository.draining = True
        super().handle_exit(sig, frame)

    async def _open(self, address: Any) -> None:
        try:
            await asyncio.to_thread(self._repository.open, self._packs, self._settings)
        except Exception as exc:  # noqa: BLE001 - raised again by serve_on, when all is closed
            self.failure = exc
            self.should_exit = True
            return
        if self._announce is not None:
            scheme = "https" if self._settings.tls_cert else "http"
            self._announce(f"{scheme}://{_host(address)}:{address[1]}")


def _bound(settings: Settings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server(
            (settings.host, settings.port), family=family, backlog=BACKLOG, reuse_port=False
        )
    except OSError as exc:
        raise UsageError(
            f"{settings.host}:{settings.port} cannot be bound: {exc.strerror}.",
            remedy="--port 0 takes a free one",
        ) from exc


def _host(address: Any) -> str:
    host = str(address[0])
    return f"[{host}]" if ":" in host else host
