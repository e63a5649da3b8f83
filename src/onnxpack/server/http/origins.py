"""Which web pages may use the server, through the browser of a person who can reach it.

A browser sends requests for any page, also to addresses that only its machine reaches. It names
the page in ``Origin``, and the name that led to the server in ``Host``. Other programs send no
``Origin``, and are not concerned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from onnxpack.errors import UsageError
from onnxpack.server.errors import RequestError
from onnxpack.server.http.exchange import Exchange, Headers

ANY = "*"
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]*)?", re.ASCII)
READ = ("GET", "HEAD", "OPTIONS")
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (
        b"access-control-allow-headers",
        (
            b"authorization, content-type, inference-header-content-length, traceparent, "
            b"x-api-key, x-request-id"
        ),
    ),
    (b"access-control-max-age", b"600"),
]


class Origins:
    """The pages that may use the server: its own, and those of other origins that are named.

    Args:
        host: address that the server listens on.
        allowed: origins, such as ``https://example.org``; ``*`` for every origin.

    Raises:
        UsageError: an origin is not ``SCHEME://HOST[:PORT]``.
    """

    def __init__(self, host: str, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(each.lower() for each in allowed)
        self._hosts = {"localhost", *map(_host_of, self._allowed - {ANY})}
        self._local = is_loopback(host)

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def check(self, exchange: Exchange) -> None:
        """Refuse what a page of another origin asks for.

        Raises:
            RequestError: 403, the host is not this machine's though the server listens only on it,
                or a page of another origin sends a request that is more than reading.
        """
        host = exchange.header("host").lower()
        if self._local and not self._is_known(host):
            # DNS rebinding: the name of a page leads to 127.0.0.1, so its origin is also ours.
            raise RequestError(
                403,
                f"the host is {host!r}, expected localhost or an address: this server listens on "
                "this machine only; name a proxy's host with --cors-origin",
            )
        origin = exchange.header("origin").lower()
        if not origin or exchange.method in READ or self._is_allowed(origin):
            return
        if origin.partition("://")[2] != host:
            raise RequestError(
                403, f"a page of {origin} may not use this server; --cors-origin {origin} allows it"
            )

    def headers(self, exchange: Exchange) -> Headers:
        """Return the headers that let a page of an allowed origin read the answer."""
        origin = exchange.header("origin")
        if not origin or not self._is_allowed(origin.lower()):
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", b"inference-header-content-length, x-request-id"),
            (b"vary", b"origin"),
        ]

    def _is_allowed(self, origin: str) -> bool:
        return origin in self._allowed or ANY in self._allowed

    def _is_known(self, host: str) -> bool:
        name = _name_in(host)
        return not host or name in self._hosts or _is_own(name)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


@lru_cache(256)
def _name_in(host: str) -> str:
    """Return the name or address in a Host header; an empty string if it is malformed."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]) if found else ""


@lru_cache(256)
def _is_own(name: str) -> bool:
    """Return whether no DNS server has a say in what a name leads to."""
    return name.endswith(".localhost") or _is_address(name)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _host_of(origin: str) -> str:
    try:
        parts = urlsplit(origin)
        right = parts.scheme in ("http", "https") and parts.hostname and not parts.username
        if right and origin == f"{parts.scheme}://{parts.netloc}":
            return str(parts.hostname)
    except ValueError:
        pass
    raise UsageError(
        f"{origin!r} is not an origin, expected SCHEME://HOST[:PORT] without a path.",
        remedy="--cors-origin https://example.org",
    )
