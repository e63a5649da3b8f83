"""The way a registry is spoken to: with TLS or without it, and whose certificates are accepted."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from onnxpack.errors import UsageError
from onnxpack.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class Connection:
    """How to connect to a registry.

    Attributes:
        tls: whether to use TLS; None uses it everywhere but on this machine, and there too if
            ``ca`` is given.
        ca: PEM file with certificates of authorities to accept, in addition to the known ones.
    """

    tls: bool | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        if self.tls is False and self.ca is not None:
            raise UsageError(
                f"the certificates in {self.ca} are for TLS, which is turned off.",
                remedy="leave out one of --ca and --plain-http",
            )

    def root(self, name: Reference) -> str:
        """Return the root URL of an image's registry."""
        tls = True if self.tls is None and self.ca is not None else self.tls
        if tls is None:
            return name.url
        return f"{'https' if tls else 'http'}://{name.host}"

    def context(self) -> ssl.SSLContext:
        """Return the settings of TLS, for the registry and where it redirects to.

        Raises:
            UsageError: the file of certificates cannot be used.
        """
        from onnxpack.oci.registry.address import httpx

        found = httpx.create_ssl_context()
        if self.ca is None:
            return found
        try:
            found.load_verify_locations(cafile=self.ca)
        except OSError as exc:  # ssl.SSLError is one
            raise UsageError(
                f"--ca {self.ca} cannot be used: {exc.strerror or exc}; expected a PEM file of "
                "certificates."
            ) from exc
        return found
