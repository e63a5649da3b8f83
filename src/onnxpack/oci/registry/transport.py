"""Send requests to one registry: bounded, retried only where safe, credentials kept to its host."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

from onnxpack.errors import RegistryError
from onnxpack.oci.registry.address import follow, httpx, same_origin
from onnxpack.oci.registry.auth import Auth, Scopes
from onnxpack.oci.registry.connection import Connection
from onnxpack.oci.registry.credentials import Credential
from onnxpack.oci.registry.pace import timeouts
from onnxpack.oci.registry.response import denied, read, unreachable
from onnxpack.oci.registry.routes import Routes

MAX_REDIRECTS = 5
# No content encoding: a digest is computed over the bytes before any decoding.
_HEADERS = {"User-Agent": "onnxpack", "Accept-Encoding": "identity"}
_SAFE = frozenset({"GET", "HEAD"})
_BUSY = frozenset({429, 500, 502, 503, 504})
# OpenSSL's reasons that a second attempt does not change.
_LASTING = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER")
_MOVED = frozenset({301, 302, 303, 307, 308})


# A long body is a function that creates it again for each attempt.
Body: TypeAlias = bytes | Callable[[], Iterable[bytes]] | None


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to retry a request.

    Args:
        attempts: attempts in total for one request.
        first: seconds before the second attempt; each further wait is twice as long.
        longest: longest wait in seconds, whatever the registry asks for.
        timeout: seconds without progress after which an attempt fails: until the response begins,
            and in which a body must arrive, or be taken, at least as fast as ``slowest``.
        slowest: bytes per second. A body of any size may take its time, but not for ever.
    """

    attempts: int = 4
    first: float = 0.25
    longest: float = 20.0
    timeout: float = 60.0
    slowest: float = 32 * 2**10

    def wait(self, attempt: int, asked: str | None = None) -> None:
        """Wait before another attempt: our time or the registry's, but at most ``longest``."""
        seconds = self.first * 2**attempt * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        if asked is not None and asked.isascii() and asked.isdigit():
            seconds = max(seconds, float(asked[:6]))
        time.sleep(min(seconds, self.longest))


class Transport:
    """HTTP with one registry; safe to use from several threads."""

    def __init__(
        self,
        url: str,
        credential: Credential | None,
        patience: Patience | None = None,
        connection: Connection | None = None,
    ) -> None:
        self.root = httpx.URL(url)
        self.patience = patience or Patience()
        self._client = httpx.Client(
            transport=Routes((connection or Connection()).context()), follow_redirects=False
        )
        self._auth = Auth(self.root, credential, self._ask)

    def close(self) -> None:
        """Close the sockets of all connections."""
        self._client.close()

    @contextmanager
    def send(
        self,
        method: str,
        url: str | httpx.URL,
        *,
        scopes: Scopes = (),
        headers: Mapping[str, str] | None = None,
        body: Body = None,
        repeatable: bool = False,
    ) -> Iterator[httpx.Response]:
        """Send a request and yield the response, its body still unread.

        GET and HEAD are retried when the registry is busy or the connection breaks, and they follow
        redirects. Other requests are retried only if the registry cannot have acted on them: it was
        not reached, or it reports too many requests.

        Args:
            method: GET, HEAD, POST, PUT or PATCH.
            url: a path of the registry, or a URL that the registry sent.
            scopes: scopes that a token has to allow.
            headers: additional headers.
            body: bytes, or a function that creates the body for each attempt.
            repeatable: whether the request may be retried as GET is, because sending it twice has
                the effect of sending it once.

        Raises:
            RegistryError: the registry does not answer, or its redirect cannot be followed.
        """
        again = repeatable or method in _SAFE
        asked = _Asked(method, self.root.join(url), scopes, headers or {}, body, again)
        answer = self._followed(asked)
        try:
            yield answer
        finally:
            answer.close()

    def _followed(self, asked: _Asked) -> httpx.Response:
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._patiently(asked)
            if answer.status_code not in _MOVED or asked.method not in _SAFE:
                return answer
            answer.close()
            url = follow(asked.url, answer.headers.get("location", ""), why="a download")
            asked = replace(asked, url=url)
        raise RegistryError(f"{self.root.host} redirects more than {MAX_REDIRECTS} times.")

    def _patiently(self, asked: _Asked) -> httpx.Response:
        busy = _BUSY if asked.again else {429}
        for attempt in range(self.patience.attempts - 1):
            try:
                answer = self._once(asked)
            except httpx.TransportError as exc:
                if not _may_repeat(asked, exc):
                    raise unreachable(asked.url, exc) from exc
                self.patience.wait(attempt)
                continue
            if answer.status_code not in busy:
                return answer
            answer.close()
            self.patience.wait(attempt, answer.headers.get("retry-after"))
        try:
            return self._once(asked)
        except httpx.TransportError as exc:
            raise unreachable(asked.url, exc) from exc

    def _once(self, asked: _Asked) -> httpx.Response:
        if not same_origin(asked.url, self.root):
            return self._sent(asked.request())
        known = self._auth.header(asked.scopes)
        answer = self._sent(asked.request(known))
        if answer.status_code != 401:
            return answer
        challenges = answer.headers.get_list("www-authenticate")
        answer.close()
        found = self._auth.answer(challenges, asked.scopes, refused=known)
        answer = self._sent(asked.request(found))
        if answer.status_code == 401:
            answer.close()
            raise denied(self.root, known=True)
        return answer

    def _sent(self, request: httpx.Request) -> httpx.Response:
        for name, value in _HEADERS.items():
            request.headers[name] = value
        request.extensions["timeout"] = timeouts(self.patience.timeout, self.patience.slowest)
        return self._client.send(request, stream=True)

    def _ask(self, request: httpx.Request) -> tuple[int, bytes]:
        try:
            answer = self._sent(request)
        except httpx.TransportError as exc:
            raise unreachable(request.url, exc) from exc
        try:
            return answer.status_code, read(answer)
        finally:
            answer.close()


@dataclass(frozen=True, slots=True)
class _Asked:
    method: str
    url: httpx.URL
    scopes: Scopes
    headers: Mapping[str, str]
    body: Body
    again: bool

    def request(self, authorization: str | None = None) -> httpx.Request:
        mine = {"Authorization": authorization} if authorization else {}
        content = self.body() if callable(self.body) else self.body
        return httpx.Request(
            self.method, self.url, headers={**self.headers, **mine}, content=content
        )


def _may_repeat(asked: _Asked, exc: httpx.TransportError) -> bool:
    if not isinstance(exc, httpx.ConnectError):
        return asked.again
    return not any(reason in str(exc) for reason in _LASTING)
