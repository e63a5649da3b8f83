"""The standard gRPC health service: a model is SERVING from its proof to the server's end."""

from __future__ import annotations

import asyncio

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from onnxpack.server.errors import RequestError, not_found
from onnxpack.server.grpc.call import POLL_SECONDS, Call, Method
from onnxpack.server.models.repository import Repository

SERVICE = "grpc.health.v1.Health"


class Health:
    """Reports the health of the server as a whole (an empty name), its services, and each model.

    Args:
        repository: the served models.
        services: names of the services that are ready when the server is.
    """

    def __init__(self, repository: Repository, services: tuple[str, ...]) -> None:
        self._repository = repository
        self._services = ("", *services)

    @property
    def methods(self) -> dict[str, Method]:
        """The methods of the service by name; load balancers call them without an API key."""
        return {
            "Check": Method(f"/{SERVICE}/Check", self._check, open=True),
            "Watch": Method(f"/{SERVICE}/Watch", self._watch, open=True),
        }

    async def _check(self, call: Call) -> None:
        request = await call.read(HealthCheckRequest)
        status = self._status(request.service)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            raise not_found(f"there is no service {request.service!r}")
        await call.write(HealthCheckResponse(status=status))

    async def _watch(self, call: Call) -> None:
        service = (await call.read(HealthCheckRequest)).service
        told, ending = None, False
        while not ending:
            ending = told is not None and self._repository.draining
            status = self._status(service)
            if status != told:
                await call.write(HealthCheckResponse(status=status))
                told = status
            # Also at the end: a client can lose a message that comes with the call's status.
            await asyncio.sleep(POLL_SECONDS)
        raise RequestError(503, "the server is shutting down", retry_after=1)

    def _status(self, service: str) -> int:
        """Return the status of a service; no model has a name until all models are proven."""
        repository = self._repository
        if not repository.accepting:
            return int(HealthCheckResponse.NOT_SERVING)
        if service in self._services or repository.versions(service):
            return int(HealthCheckResponse.SERVING)
        return int(HealthCheckResponse.SERVICE_UNKNOWN)
