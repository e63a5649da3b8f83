"""The message that announces a ready server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onnxpack.report import words
from onnxpack.signature import Signature

if TYPE_CHECKING:
    from onnxpack.server.models.repository import Repository
    from onnxpack.server.settings import Settings


@dataclass(frozen=True, slots=True)
class ReadyModel:
    """A model that is ready to answer.

    Attributes:
        name: name of the model.
        version: version of the model.
        provider: short name of the execution provider.
        unchanged: whether its files have the digests that its manifest names.
        proven: whether its golden data was reproduced with this provider.
        trusted: whether its digest is one that the user gave.
        signature: inputs and outputs of the model.
        variant: name of the variant that answers; None for the base.
        notes: which faster variants are not used here, and why.
    """

    name: str
    version: str
    provider: str
    unchanged: bool
    proven: bool
    trusted: bool
    signature: Signature
    variant: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What holds of the model, in the words of ``onnxpack check``."""
        return words(unchanged=self.unchanged, proven=self.proven, trusted=self.trusted)


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that is ready; its string is the address.

    Attributes:
        address: URL of the server.
        models: the served models.
        grpc: target for gRPC clients, ``host:port``; empty if gRPC is not served.
    """

    address: str
    models: tuple[ReadyModel, ...]
    grpc: str = ""

    def __str__(self) -> str:
        return self.address


def announcement(address: Any, repository: Repository, settings: Settings) -> Ready:
    """Return the message that announces these models on this address of a socket."""
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
        for each in repository
    )
    host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
    scheme = "https" if settings.tls_cert else "http"
    port = settings.grpc_port
    return Ready(
        f"{scheme}://{host}:{address[1]}", models, "" if port is None else f"{host}:{port}"
    )
