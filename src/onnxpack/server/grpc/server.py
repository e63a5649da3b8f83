"""The gRPC server: the Open Inference Protocol, standard health checks, and reflection."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter
from typing import Any

from onnxpack.errors import MissingExtraError, UsageError
from onnxpack.server.errors import status_of
from onnxpack.server.limits import LARGE_BODY, Budget
from onnxpack.server.models.describe import describe_model, describe_server
from onnxpack.server.models.repository import Repository
from onnxpack.server.settings import Settings

try:
    import grpc
    from grpc_reflection.v1alpha import reflection, reflection_pb2

    from onnxpack.server.grpc import inference_pb2 as pb
    from onnxpack.server.grpc.call import Call, Gate, Method
    from onnxpack.server.grpc.health import SERVICE as HEALTH
    from onnxpack.server.grpc.health import Health
    from onnxpack.server.grpc.messages import read_request, write_response
except ModuleNotFoundError as exc:
    raise MissingExtraError(str(exc.name), extra="grpc") from exc

INFERENCE = "inference.GRPCInferenceService"
REFLECTION = reflection.SERVICE_NAME
MAX_CALLS = 4096
CUT_SECONDS = 1.0
"""Seconds for the calls that were cut, to tell their clients so."""
MAX_CONNECTIONS = 4096


@contextmanager
def reserved(settings: Settings) -> Iterator[int]:
    """Reserve the gRPC port and yield it; the gRPC library binds it later, once in each worker.

    Raises:
        UsageError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as alone, socket.socket(family) as shared:
        for each in (alone, shared):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            # This fails if another server listens, even one that shares its port.
            alone.bind((settings.host, settings.grpc_port))
            port = int(alone.getsockname()[1])
            alone.close()
            shared.bind((settings.host, port))
        except OSError as exc:
            raise UsageError(
                f"{settings.host}:{settings.grpc_port} cannot be bound for gRPC: {exc.strerror}.",
                remedy="--grpc-port 0 picks a free one",
            ) from exc
        yield port


@asynccontextmanager
async def grpc_server(
    repository: Repository, settings: Settings, budget: Budget | None = None
) -> AsyncIterator[int]:
    """Serve gRPC on ``settings.grpc_port`` in this event loop, and yield the port.

    At the end, answers in flight have ``settings.drain`` seconds to finish.

    Args:
        repository: the served models.
        settings: settings of the server.
        budget: limit of the memory that requests hold, if shared with other servers.

    Raises:
        UsageError: the address cannot be bound.
    """
    gate = Gate(repository, settings, budget or Budget(settings.max_held))
    server = grpc.aio.server(options=_options(settings), maximum_concurrent_rpcs=MAX_CALLS)
    for service, methods in (
        (INFERENCE, Inference(repository, settings).methods),
        (HEALTH, Health(repository, (INFERENCE,)).methods),
        (REFLECTION, {"ServerReflectionInfo": _reflection()}),
    ):
        handlers = {name: gate.handler(method) for name, method in methods.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = _bind(server, settings)
    await server.start()
    try:
        yield port
    finally:
        await gate.turn_away()
        stopping = asyncio.ensure_future(server.stop(settings.drain + CUT_SECONDS))
        await asyncio.wait([stopping], timeout=settings.drain)
        gate.cut()
        await stopping


class Inference:
    """Answers the Open Inference Protocol over gRPC.

    Args:
        repository: the served models.
        settings: settings of the server.
    """

    def __init__(self, repository: Repository, settings: Settings) -> None:
        self._repository = repository
        self._max_body = settings.max_body

    @property
    def methods(self) -> dict[str, Method]:
        """The methods of the service, by name."""
        return {
            "ServerLive": _unary("ServerLive", self._server_live, open_=True),
            "ServerReady": _unary("ServerReady", self._server_ready, open_=True),
            "ModelReady": _unary("ModelReady", self._model_ready),
            "ServerMetadata": _unary("ServerMetadata", self._server_metadata),
            "ModelMetadata": _unary("ModelMetadata", self._model_metadata),
            "ModelInfer": Method(
                f"/{INFERENCE}/ModelInfer", self._model_infer, limit=self._max_body
            ),
        }

    async def _server_live(self, _request: Any) -> Any:
        return pb.ServerLiveResponse(live=True)

    async def _server_ready(self, _request: Any) -> Any:
        return pb.ServerReadyResponse(ready=self._repository.accepting)

    async def _model_ready(self, request: Any) -> Any:
        if self._repository.ready:
            self._repository.get(request.name, request.version or None)
        return pb.ModelReadyResponse(ready=self._repository.accepting)

    async def _server_metadata(self, _request: Any) -> Any:
        return pb.ServerMetadataResponse(**describe_server())

    async def _model_metadata(self, request: Any) -> Any:
        served = self._repository.get(request.name, request.version or None)
        described = describe_model(served, self._repository.versions(served.name))
        del described["parameters"]
        return pb.ModelMetadataResponse(**described)

    async def _model_infer(self, call: Call) -> None:
        request = await call.read(pb.ModelInferRequest)
        served = self._repository.get(request.model_name, request.model_version or None)
        stats = served.stats
        stats.in_flight += 1
        try:
            if request.ByteSize() > LARGE_BODY:
                understood = await asyncio.to_thread(read_request, request, served.signature)
            else:
                understood = read_request(request, served.signature)
            outputs = await served.infer(understood.feeds, call.header)
            response = write_response(served.name, served.version, understood, outputs)
            content = call.encode(response)
        except BaseException as exc:
            cut = isinstance(exc, asyncio.CancelledError) and self._repository.draining
            stats.refused(503 if cut else status_of(exc))
            raise
        finally:
            stats.in_flight -= 1
        stats.answered(perf_counter() - call.received)
        await call.send(content)


def _unary(name: str, answer: Callable[[Any], Awaitable[Any]], *, open_: bool = False) -> Method:
    kind = getattr(pb, f"{name}Request")

    async def serve(call: Call) -> None:
        await call.write(await answer(await call.read(kind)))

    return Method(f"/{INFERENCE}/{name}", serve, open_)


def _reflection() -> Method:
    """Return the method that lists the services and their descriptors."""
    servicer = reflection.aio.ReflectionServicer((INFERENCE, HEALTH, REFLECTION))

    async def serve(call: Call) -> None:
        async def requests() -> AsyncIterator[Any]:
            while (request := await call.next(reflection_pb2.ServerReflectionRequest)) is not None:
                yield request

        async for response in servicer.ServerReflectionInfo(requests(), None):
            await call.write(response)

    return Method(f"/{REFLECTION}/ServerReflectionInfo", serve)


def _options(settings: Settings) -> list[tuple[str, int]]:
    patience = int(settings.read_timeout * 1000)
    return [
        ("grpc.max_receive_message_length", settings.max_body),
        ("grpc.max_send_message_length", -1),
        # A small compressed message can expand to gigabytes, which is only known afterwards.
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.per_message_decompression", 0),
        ("grpc.max_allowed_incoming_connections", MAX_CONNECTIONS),
        ("grpc.server_handshake_timeout_ms", patience),
        # Detect clients that vanished without closing, and drop their requests.
        ("grpc.keepalive_time_ms", patience),
        ("grpc.keepalive_timeout_ms", patience),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _bind(server: Any, settings: Settings) -> int:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    address = f"{host}:{settings.grpc_port}"
    try:
        if settings.tls_cert is None:
            port = server.add_insecure_port(address)
        else:
            chain = settings.tls_cert.read_bytes()
            key = settings.tls_key.read_bytes() if settings.tls_key else chain
            credentials = grpc.ssl_server_credentials([(key, chain)])
            port = server.add_secure_port(address, credentials)
    except RuntimeError as exc:
        raise UsageError(
            f"{address} cannot be bound for gRPC.", remedy="--grpc-port 0 picks a free one"
        ) from exc
    return int(port)
