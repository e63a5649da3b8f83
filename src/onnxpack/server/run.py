"""Run a server, from packs to its graceful end: ``onnxpack.serve``."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from onnxpack.errors import MissingExtraError, OnnxpackError, UsageError
from onnxpack.pack.model import Pack
from onnxpack.pack.read import trust
from onnxpack.server.ready import Ready, ReadyModel
from onnxpack.server.settings import Settings

try:
    import uvicorn
    import uvloop  # noqa: F401 - uvicorn imports it by name

    from onnxpack.server.http.app import App
    from onnxpack.server.http.connection import Connection
    from onnxpack.server.models.repository import Repository, Stopped, find_packs
except ModuleNotFoundError as exc:
    raise MissingExtraError(str(exc.name), extra="serve") from exc

BACKLOG = 2048
MAX_CONNECTIONS = 4096
Announce: TypeAlias = Callable[[Ready], None]


def serve(
    packs: str | Path | Pack | Iterable[str | Path | Pack],
    settings: Settings | None = None,
    *,
    announce: Announce | None = None,
) -> None:
    """Serve packs until SIGTERM or Ctrl-C, and return.

    The server listens at once, and is ready when every pack has reproduced its golden data here.
    Answers in flight are finished before it ends.

    Args:
        packs: packs, their paths, or folders of packs.
        settings: settings of the server; see :class:`Settings`.
        announce: called with the address and the models when the server is ready; ``str`` of its
            argument is the address.

    Raises:
        PackError: a path is not a pack, its files were altered, its graph cannot be loaded, or it
            is another pack than the settings name.
        ParityError: a model answers differently here from its golden data.
        ProviderError: the provider does not run here.
        UsageError: the address cannot be bound, or the certificate cannot be used.
        WorkerError: one of several workers ended by itself.
    """
    settings = settings or Settings()
    _check_tls(settings)
    found = find_packs([packs] if isinstance(packs, str | Path | Pack) else packs)
    if settings.digests:
        found = tuple(trust(pack, *settings.digests) for pack in found)
    with ExitStack() as stack:
        listener = stack.enter_context(_bound(settings))
        if settings.grpc_port is not None:
            from onnxpack.server.grpc.server import reserved

            settings = replace(settings, grpc_port=stack.enter_context(reserved(settings)))
        if settings.workers > 1:
            from onnxpack.server.workers import run_workers

            run_workers(found, settings, listener, announce)
        else:
            serve_on(listener, found, settings, announce=announce)


def serve_on(
    listener: socket.socket,
    packs: Iterable[Pack],
    settings: Settings,
    *,
    announce: Announce | None = None,
    gate: Announce | None = None,
) -> None:
    """Serve in this process on a socket that already listens.

    Args:
        listener: the listening socket.
        packs: packs to serve.
        settings: settings of the server.
        announce: called when the server is ready.
        gate: called in a thread when every model is proven. The server is ready when it returns,
            and ends if it raises :class:`Stopped`.
    """
    _log_access(settings)
    repository = Repository()
    app = App(repository, settings)
    config = uvicorn.Config(
        app,
        http=type("BoundConnection", (Connection,), {"read_timeout": settings.read_timeout}),
        loop="uvloop",
        lifespan="off",
        ws="none",
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=math.ceil(settings.read_timeout),
        timeout_graceful_shutdown=math.ceil(settings.drain),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    server = _Server(config, app, tuple(packs), announce, gate)
    server.run(sockets=[listener])
    if server.failure is not None:
        raise server.failure


class _Server(uvicorn.Server):
    """uvicorn's server, which proves its models while it already listens."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: App,
        packs: tuple[Pack, ...],
        announce: Announce | None,
        gate: Announce | None,
    ) -> None:
        super().__init__(config)
        self.failure: BaseException | None = None
        self._app = app
        self._repository = app.repository
        self._packs = packs
        self._settings = app.settings
        self._grpc = AsyncExitStack()
        self._announce = announce
        self._gate = gate

    async def main_loop(self) -> None:
        """Prove the models while uvicorn's own loop runs."""
        await self._start_grpc()
        opening = asyncio.ensure_future(self._open(self.servers[0].sockets[0].getsockname()))
        sweeping = asyncio.ensure_future(Connection.sweep())
        try:
            await super().main_loop()
        finally:
            self._repository.draining = True
            sweeping.cancel()
            await asyncio.wait([opening])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the answers in flight, then close the sessions."""
        sweeping = asyncio.ensure_future(Connection.sweep())
        await asyncio.gather(super().shutdown(sockets), self._stop_grpc())
        sweeping.cancel()
        self._repository.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop accepting requests at the first signal."""
        self._repository.draining = True
        super().handle_exit(sig, frame)
        # uvicorn would raise the signals again at the end; being asked to end is not a failure.
        self._captured_signals.clear()

    async def _start_grpc(self) -> None:
        if self._settings.grpc_port is None:
            return
        from onnxpack.server.grpc.server import grpc_server

        serving = grpc_server(self._repository, self._settings, self._app.budget)
        try:
            await self._grpc.enter_async_context(serving)
        except OnnxpackError as exc:
            self.failure = exc
            self.should_exit = True

    async def _stop_grpc(self) -> None:
        """Stop gRPC as uvicorn stops HTTP: at once if a second Ctrl-C comes."""
        stopping = asyncio.ensure_future(self._grpc.aclose())
        while not stopping.done() and not self.force_exit:
            await asyncio.wait([stopping], timeout=0.1)
        stopping.cancel()

    async def _open(self, address: Any) -> None:
        try:
            await asyncio.to_thread(self._repository.open, self._packs, self._settings)
            ready = _ready(address, self._app)
            if self._gate is not None:
                await asyncio.to_thread(self._gate, ready)
            self._repository.ready = True
            if self._announce is not None:
                self._announce(ready)
        except Stopped:
            self.should_exit = True
        except Exception as exc:  # noqa: BLE001 - raised again by serve_on after the shutdown
            self.failure = exc
            self.should_exit = True


def _ready(address: Any, app: App) -> Ready:
    models = tuple(
        ReadyModel(
            name=each.name,
            version=each.version,
            provider=each.model.provider,
            unchanged=each.unchanged,
            proven=each.proven,
            trusted=each.model.pack.trusted,
            signature=each.signature,
            variant=each.model.variant,
            notes=each.model.notes,
        )
        for each in app.repository
    )
    host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
    scheme = "https" if app.settings.tls_cert else "http"
    port = app.settings.grpc_port
    return Ready(
        f"{scheme}://{host}:{address[1]}", models, "" if port is None else f"{host}:{port}"
    )


def _bound(settings: Settings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as exc:
        # Only the system's own message; an unknown host name has no errno.
        reason = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else exc.strerror
        raise UsageError(
            f"{settings.host}:{settings.port} cannot be bound: {reason}.",
            remedy="--port 0 picks a free one",
        ) from exc


def _check_tls(settings: Settings) -> None:
    """Check that the certificate can be used, before the server starts to listen."""
    if settings.tls_cert is None:
        if settings.tls_key is not None:
            raise UsageError("a TLS key was given without a certificate.", remedy="--tls-cert PEM")
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
    except OSError as exc:
        raise UsageError(
            f"{settings.tls_cert} cannot be used with {settings.tls_key or 'a key inside'}: "
            f"{exc.strerror or exc}.",
            remedy="--tls-cert CHAIN.pem --tls-key KEY.pem, both in PEM",
        ) from exc


def _log_access(settings: Settings) -> None:
    """Log each request as a line on stderr, unless the program configured this logger."""
    access = logging.getLogger("onnxpack.access")
    if not settings.access_log or access.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    access.addHandler(handler)
    access.setLevel(logging.INFO)
    access.propagate = False
