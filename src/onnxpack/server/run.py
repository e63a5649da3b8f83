"""Run a server, from packs to its graceful end: ``onnxpack.serve``."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from onnxpack.errors import MissingExtraError, UsageError
from onnxpack.pack.model import Pack
from onnxpack.pack.read import trust
from onnxpack.server.listening import bind
from onnxpack.server.settings import Settings

try:
    from onnxpack.server.http.app import App
    from onnxpack.server.http.origins import Origins
    from onnxpack.server.models.counters import SharedCounters
    from onnxpack.server.models.repository import Repository, find_packs
    from onnxpack.server.process import Announce, Closer, Process
except ModuleNotFoundError as exc:
    raise MissingExtraError(str(exc.name), extra="serve") from exc


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
        UsageError: the address cannot be bound, the certificate cannot be used, or an origin is
            malformed.
        WorkerError: one of several workers ended by itself.
    """
    settings = settings or Settings()
    _check_tls(settings)
    Origins(settings.host, settings.cors_origins)  # raises before the server listens
    found = find_packs([packs] if isinstance(packs, str | Path | Pack) else packs)
    if settings.digests:
        found = tuple(trust(pack, *settings.digests) for pack in found)
    with ExitStack() as sockets:
        listener = sockets.enter_context(bind(settings))
        if settings.grpc_port is not None:
            from onnxpack.server.grpc.server import reserved

            settings = replace(settings, grpc_port=sockets.enter_context(reserved(settings)))
        if settings.workers > 1:
            from onnxpack.server.workers import run_workers

            run_workers(found, settings, listener, announce, on_close=sockets.close)
        else:
            serve_on(listener, found, settings, announce=announce, on_close=sockets.close)


def serve_on(
    listener: socket.socket,
    packs: Iterable[Pack],
    settings: Settings,
    *,
    announce: Announce | None = None,
    gate: Announce | None = None,
    on_close: Closer | None = None,
    counters: SharedCounters | None = None,
    listen_when_ready: bool = False,
) -> None:
    """Serve in this process on a socket that already listens.

    Args:
        listener: the listening socket.
        packs: packs to serve.
        settings: settings of the server.
        announce: called when the server is ready.
        gate: called in a thread when every model is proven. The server is ready when it returns,
            and ends if it raises :class:`Stopped`.
        on_close: called when this process stops listening.
        counters: counters that several workers share.
        listen_when_ready: let the other workers take all clients until every model is proven.
    """
    _log_access(settings)
    app = App(Repository(counters), settings)
    Process(
        app, tuple(packs), listener, announce=announce, gate=gate, on_close=on_close,
        listen_when_ready=listen_when_ready,
    ).run()  # fmt: skip


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
