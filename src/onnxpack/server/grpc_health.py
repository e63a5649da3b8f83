"""The standard health service: a model serves when it was proven here, until the server ends."""

from __future__ import annotations

import asyncio

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from onnxpack.server.grpc_call import POLL_SECONDS, Call, Method
from onnxpack.server.refusal import Refusal, not_found
from onnxpack.server.repository import Repository

SERVICE = "grpc.health.v1.Health"


class Health:
    """Answers for the server as a whole (an empty name), its services, and each model.

    Args:
        repository: the models.
        services: names of the services that are as ready as the server.
    """

    def __init__(self, repository: Repository, services: tuple[str, ...]) -> None:
        self._repository = repository
        self._services = ("", *services)

    @property
    def methods(self) -> dict[str, Method]:
        """By name; load balancers ask them, without a key."""
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
            # In the end too: a client can lose what comes together with the status of the call.
            await asyncio.sleep(POLL_SECONDS)
        raise Refusal(503, "the server is ending", retry_after=1)

    def _status(self, service: str) -> int:
        """Models have no names until they are proven, so before that any name might be one."""
        repository = self._repository
        if not repository.accepting:
            return int(HealthCheckResponse.NOT_SERVING)
        if service in self._services or repository.versions(service):
            return int(HealthCheckResponse.SERVING)
        return int(HealthCheckResponse.SERVICE_UNKNOWN)
