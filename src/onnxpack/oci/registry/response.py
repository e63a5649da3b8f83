"""Read a registry's responses, and turn status codes and broken connections into errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from onnxpack.errors import RegistryError
from onnxpack.oci.document import MAX_BYTES
from onnxpack.oci.registry.address import httpx
from onnxpack.oci.registry.pace import Pace

MAX_TOLD = 300


class BrokenError(RegistryError):
    """The connection broke or the registry was busy: a retry may succeed."""


def read(answer: httpx.Response, *, limit: int = MAX_BYTES) -> bytes:
    """Return the body of a response.

    Raises:
        RegistryError: the body is longer than ``limit``, or the connection breaks.
    """
    held = bytearray()
    for chunk in pieces(answer):
        held += chunk
        if len(held) > limit:
            raise RegistryError(f"{answer.url.host} answers with more than {limit} bytes.")
    return bytes(held)


def pieces(answer: httpx.Response) -> Iterator[bytes]:
    """Yield the body of a response in pieces as they arrive.

    Raises:
        RegistryError: the connection breaks, or the body arrives too slowly.
    """
    pace: Pace = answer.request.extensions["timeout"]["read"]
    try:
        # Without a size: else the pieces of a slow body would be collected where no pace is kept.
        for piece in answer.iter_raw():
            pace.advance(len(piece))
            yield piece
    except httpx.TransportError as exc:
        raise unreachable(answer.url, exc) from exc


def unreachable(url: httpx.URL, exc: Exception) -> BrokenError:
    """Return the error for a registry that does not answer, or not completely."""
    host = url.netloc.decode()
    why = str(exc) or type(exc).__name__
    remedy, option = f"curl -v {url.scheme}://{host}/v2/", ""
    if "WRONG_VERSION_NUMBER" in why:  # OpenSSL's word for an answer that is not TLS
        remedy, option = "connection=Connection(tls=False)", "--plain-http"
    return BrokenError(
        f"{host} cannot be reached: {why.rstrip('.')}.", remedy=remedy, option=option
    )


def denied(root: httpx.URL, *, known: bool) -> RegistryError:
    """Return the error for a registry that denies access."""
    host = root.netloc.decode()
    why = "does not accept these credentials" if known else "requires a log-in"
    return RegistryError(f"{host} {why}.", remedy=f"docker login {host}")


def refused(answer: httpx.Response, what: str) -> RegistryError:
    """Return the error for a response with an unexpected status."""
    host, status = answer.url.netloc.decode(), answer.status_code
    told = _told(answer)
    remedy = {
        401: f"docker login {host}",
        403: f"docker login {host}   # with an account that has access",
        404: "check the name and the tag",
        429: "wait, or log in for a higher limit",
    }.get(status, "")
    option = ""
    if status == 400 and answer.url.scheme == "http":  # as Go and nginx answer before TLS
        remedy, option = "connection=Connection(tls=True), if it expects TLS", "--tls"
    return RegistryError(
        f"{host} refuses {what}: {status}{f', {told}' if told else ''}.",
        remedy=remedy, option=option,
    )  # fmt: skip


def _told(answer: httpx.Response) -> str:
    """Return what the registry says in its JSON, shortened and without control characters."""
    try:
        document: Any = json.loads(read(answer, limit=2**16))
        first = document["errors"][0]
        text = f"{first.get('code', '')} {first.get('message', '')}"
    except (RegistryError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    return "".join(each for each in text if each.isprintable())[:MAX_TOLD].strip().rstrip(".")
