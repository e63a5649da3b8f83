"""The message that announces a ready server."""

from __future__ import annotations

from dataclasses import dataclass

from onnxpack.report import words
from onnxpack.signature import Signature


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
