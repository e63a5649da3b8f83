"""One serving process: it listens, proves its models, answers, and loses nobody at its end.

From the signal on it is not ready. After ``drain_delay`` it stops to listen, each answer is the
last one on its connection, and open requests have ``drain`` seconds. During the delay, too, each
answer is the last one on its connection, so that load balancers lead clients elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from email.utils import formatdate
from functools import partial
from typing import TypeAlias

import uvicorn
import uvloop
from uvicorn.server import ServerState

from onnxpack.errors import OnnxpackError
from onnxpack.pack.model import Pack
from onnxpack.server import listening
from onnxpack.server.http.app import App
from onnxpack.server.http.connection import Connection
from onnxpack.server.http.connections import LINGER_SECONDS, Connections
from onnxpack.server.models.counters import SharedCounters
from onnxpack.server.models.repository import Stopped
from onnxpack.server.ready import Ready, announcement
from onnxpack.server.signals import handled

MAX_CONNECTIONS = 4096
OPENING = "opening models"
"""Name of the thread that loads and proves the models."""
LOOK_SECONDS = 0.01
"""Seconds between looks at what is waited for."""
OTHERS_SECONDS = 1.0
"""Most seconds to wait for the other workers to stop listening; one of them may be dead."""
STOPPED_SECONDS = 0.2
"""Seconds that this thread has to stop between two golden sets; then it is left behind."""
Announce: TypeAlias = Callable[[Ready], None]
Closer: TypeAlias = Callable[[], None]


class Process:
    """A process that serves packs until a signal comes.

    Args:
        app: application that answers HTTP requests.
        packs: packs to serve.
        listener: listening socket of HTTP.
        announce: called when the server is ready.
        gate: called in a thread when every model is proven. The server is ready when it returns,
            and ends if it raises :class:`Stopped`.
        on_close: called when the server stops listening.
        listen_when_ready: let the other workers take all clients until every model is proven.
    """

    def __init__(
        self,
        app: App,
        packs: tuple[Pack, ...],
        listener: socket.socket,
        *,
        announce: Announce | None = None,
        gate: Announce | None = None,
        on_close: Closer | None = None,
        listen_when_ready: bool = False,
    ) -> None:
        self.app = app
        self.packs = packs
        self._listener = listener
        self._address = listener.getsockname()
        self._announce = announce
        self._gate = gate
        self._on_close = on_close
        self._listen_when_ready = listen_when_ready
        self._repository = app.repository
        self._settings = app.settings
        self._counters = app.repository.counters or SharedCounters(0)
        self._connections = Connections()
        self._failure: BaseException | None = None
        self._forced = False
        self._accepting: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    def run(self) -> None:
        """Serve until a signal comes; raise what kept the models from being ready."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())
        if self._failure is not None:
            raise self._failure

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()

        def on_signal(number: int) -> None:
            self._repository.draining = True  # at once, even if the loop is busy
            loop.call_soon_threadsafe(self._stop, number)

        with handled(on_signal):
            state = ServerState()
            self._connections.requests = state.tasks
            server = await self._listen(state)
            tasks = [
                asyncio.ensure_future(each) for each in (_date(state), self._connections.sweep())
            ]
            grpc = AsyncExitStack()
            self._accept = partial(self._start_accepting, server, grpc)
            if not self._listen_when_ready:
                await self._accept()
            opening = threading.Thread(target=self._open, args=(loop,), name=OPENING, daemon=True)
            opening.start()
            await self._stopping.wait()
            self._repository.draining = True
            await self._end(server, grpc)
            opening.join(STOPPED_SECONDS)
            for task in tasks:
                task.cancel()
        self._repository.close()

    async def _listen(self, state: ServerState) -> asyncio.Server:
        """Return the server of a copy of the socket, which is closed before the socket."""
        settings = self._settings
        members = {"all": self._connections, "read_timeout": settings.read_timeout}
        bound: type[Connection] = type("BoundConnection", (Connection,), members)
        config = uvicorn.Config(
            self.app,
            http=bound,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=math.ceil(settings.read_timeout),
            ssl_certfile=settings.tls_cert,
            ssl_keyfile=settings.tls_key,
        )
        config.load()
        self._tls = config.ssl
        self._connect: Callable[[], asyncio.Protocol] = lambda: bound(config, state, {})
        return await asyncio.get_running_loop().create_server(
            self._connect, sock=self._listener.dup(), ssl=self._tls, backlog=listening.BACKLOG,
            start_serving=False,
        )  # fmt: skip

    async def _start_accepting(self, server: asyncio.Server, grpc: AsyncExitStack) -> None:
        await server.start_serving()
        self._counters.start_listening()
        await self._start_grpc(grpc)

    async def _start_grpc(self, stack: AsyncExitStack) -> None:
        if self._settings.grpc_port is None:
            return
        from onnxpack.server.grpc.server import grpc_server

        serving = grpc_server(self._repository, self._settings, self.app.budget)
        try:
            await stack.enter_async_context(serving)
        except OnnxpackError as exc:
            self._fail(exc)

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Load and prove the models in a thread, and report to the loop, which may be closed."""
        report: Callable[[], object]
        try:
            self._repository.open(self.packs, self._settings)
            ready = announcement(self._address, self._repository, self._settings)
            if self._gate is not None:
                self._gate(ready)
            report = partial(self._become_ready, ready)
        except Stopped:
            report = self._stopping.set
        except Exception as exc:  # noqa: BLE001 - raised again by run
            report = partial(self._fail, exc)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(report)

    def _become_ready(self, ready: Ready) -> None:
        self._repository.ready = True
        if self._listen_when_ready:
            self._accepting = asyncio.create_task(self._accept())
        if self._announce is not None:
            try:
                self._announce(ready)
            except Exception as exc:  # noqa: BLE001 - raised again by run
                self._fail(exc)

    def _fail(self, failure: BaseException) -> None:
        self._failure = failure
        self._stopping.set()

    def _stop(self, number: int) -> None:
        """Begin to end; a second Ctrl-C ends at once."""
        self._forced |= self._stopping.is_set() and number == signal.SIGINT
        self._stopping.set()

    async def _end(self, server: asyncio.Server, grpc: AsyncExitStack) -> None:
        settings, served = self._settings, self._repository.ready
        if self._accepting is not None:
            await self._accepting
        if settings.drain_delay and served:
            self._connections.closing = True
            await self._wait(settings.drain_delay)
        await self._close(server)
        self._connections.closing = True
        linger = LINGER_SECONDS if served else 0
        if self._tls is not None:
            await self._wait(linger)  # a connection is only known when its TLS handshake is over
        draining = self._connections.drain(settings.drain, linger, lambda: self._forced)
        await asyncio.gather(draining, self._stop_grpc(grpc))

    async def _close(self, server: asyncio.Server) -> None:
        """Stop to listen, and wait until every worker did.

        Meanwhile no client is made to connect again: it would wait for a second until it tries
        once more, where a closed port refuses it at once.
        """
        self._connections.closing = False
        listening.turn_away(self._listener)
        await self._wait(listening.HANDSHAKE_SECONDS if self._repository.ready else 0)
        server.close()
        accepting = [
            asyncio.ensure_future(
                asyncio.get_running_loop().connect_accepted_socket(
                    self._connect, client, ssl=self._tls
                )
            )
            for client in listening.waiting(self._listener)
        ]
        self._listener.close()
        if self._on_close is not None:
            self._on_close()
        self._counters.stop_listening()
        # With TLS, a client that is silent takes longer; it is not waited for.
        await asyncio.gather(
            self._wait(OTHERS_SECONDS, until=lambda: not self._counters.listening),
            asyncio.wait_for(asyncio.gather(*accepting, return_exceptions=True), LINGER_SECONDS),
            return_exceptions=True,
        )

    async def _wait(self, seconds: float, until: Callable[[], bool] = bool) -> None:
        """Wait until a condition is true, but neither longer nor after a second Ctrl-C."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not (self._forced or until()) and (left := end - loop.time()) > 0:
            await asyncio.sleep(min(left, LOOK_SECONDS))

    async def _stop_grpc(self, grpc: AsyncExitStack) -> None:
        """Stop gRPC as HTTP stops: at once after a second Ctrl-C."""
        stopping = asyncio.ensure_future(grpc.aclose())
        while not stopping.done() and not self._forced:
            await asyncio.wait([stopping], timeout=0.1)
        stopping.cancel()


def leave_if_opening() -> None:
    """End the process now, with code 0, if the thread that opens models was left behind.

    ONNX Runtime cannot be interrupted while it loads a graph, and may crash if the interpreter
    ends meanwhile. Only programs call this, when they have nothing more to do.
    """
    if any(thread.name == OPENING for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


async def _date(state: ServerState) -> None:
    """Keep the date that each answer carries, until cancelled."""
    while True:
        state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        await asyncio.sleep(1)
