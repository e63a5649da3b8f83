"""What a server says when it is ready."""

from __future__ import annotations

from dataclasses import dataclass

from onnxpack.signature import Signature


@dataclass(frozen=True, slots=True)
class ReadyModel:
    """A model that answers.

    Attributes:
        provider: the short name of what runs it.
        proven: whether its golden data was reproduced there.
        variant: the name of the variant that answers; None for the base.
        notes: which faster variants do not answer here, and why.
    """

    name: str
    version: str
    provider: str
    proven: bool
    signature: Signature
    variant: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that answers; as text, its address.

    Attributes:
        grpc: the target of gRPC, ``host:port``; empty where it is not served.
    """

    address: str
    models: tuple[ReadyModel, ...]
    grpc: str = ""

    def __str__(self) -> str:
        return self.address
