"""Answer a registry's challenge with Basic authentication or a bearer token for a scope."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from onnxpack.errors import RegistryError
from onnxpack.oci.registry.address import follow, httpx
from onnxpack.oci.registry.challenge import Challenge, read_challenges
from onnxpack.oci.registry.credentials import Credential
from onnxpack.oci.registry.response import denied

Scopes: TypeAlias = tuple[str, ...]
# Sends a request, returns status and bounded body; never sends a registry's token to the realm.
Asker: TypeAlias = Callable[[httpx.Request], tuple[int, bytes]]

_TOKEN = re.compile(r"[\x21-\x7e]+")
CLIENT_ID = "onnxpack"


class Auth:
    """Creates and caches the ``Authorization`` header of one registry, for each set of scopes."""

    def __init__(self, root: httpx.URL, credential: Credential | None, ask: Asker) -> None:
        self._root = root
        self._credential = credential
        self._ask = ask
        self._known: dict[Scopes, str] = {}
        self._lock = threading.Lock()

    def header(self, scopes: Scopes) -> str | None:
        """Return the header to send with the first request, or None if it is not known yet."""
        with self._lock:
            return self._known.get(scopes)

    def answer(self, challenges: Sequence[str], scopes: Scopes, *, refused: str | None) -> str:
        """Return the ``Authorization`` header to send after a 401.

        Args:
            challenges: ``WWW-Authenticate`` headers of the response.
            scopes: scopes that the request needs.
            refused: header that led to the 401; another thread may have a newer one by now.

        Raises:
            RegistryError: the registry denies access.
        """
        with self._lock:
            known = self._known.get(scopes)
            if known is not None and known != refused:
                return known
            # An expired token is replaced once; if the new one is refused as well, we give up.
            found = self._new(read_challenges(challenges), scopes, refused)
            self._known[scopes] = found
            return found

    def _new(self, found: tuple[Challenge, ...], scopes: Scopes, refused: str | None) -> str:
        by_scheme = {each.scheme: each for each in found}
        if "bearer" in by_scheme:
            return f"Bearer {self._token(by_scheme['bearer'], scopes)}"
        if "basic" in by_scheme and self._credential and self._credential.username:
            if refused is not None:
                raise self._denied()
            return self._credential.basic
        raise self._denied()

    def _token(self, challenge: Challenge, scopes: Scopes) -> str:
        realm = follow(self._root, challenge.parameters.get("realm", ""), why="the log-in")
        service = challenge.parameters.get("service", "")
        status, content = self._ask(self._request(realm, service, scopes))
        if status in (400, 401, 403):
            raise self._denied()
        if status != 200:
            raise RegistryError(f"{realm.host} returned no token for {self._root.host}: {status}.")
        try:
            told = json.loads(content)
            token = told.get("token") or told.get("access_token")
        except (ValueError, AttributeError, RecursionError) as exc:
            raise RegistryError(f"{realm.host} returned no token.") from exc
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise RegistryError(f"{realm.host} returned no token.")
        return token

    def _request(self, realm: httpx.URL, service: str, scopes: Scopes) -> httpx.Request:
        mine = self._credential
        if mine is not None and mine.identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": CLIENT_ID,
                "scope": " ".join(scopes),
                "refresh_token": mine.identity_token,
            }
            return httpx.Request("POST", realm, data=form)
        url = realm.copy_merge_params({"service": service} if service else {})
        for scope in scopes:
            url = url.copy_add_param("scope", scope)
        headers = {"Authorization": mine.basic} if mine is not None and mine.username else {}
        return httpx.Request("GET", url, headers=headers)

    def _denied(self) -> RegistryError:
        return denied(self._root, known=self._credential is not None)
