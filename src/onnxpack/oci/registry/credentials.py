"""Find the credentials for a registry where docker, podman and their helpers keep them."""

from __future__ import annotations

import base64
import binascii
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnxpack.errors import ImageError, RegistryError
from onnxpack.oci.document import MAX_BYTES, decode
from onnxpack.oci.reference import DOCKER_HUB

HELPER_SECONDS = 30
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")
# The user name by which a helper says that the secret is an identity token.
_TOKEN_USER = "<token>"  # noqa: S105 - a marker, no secret


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and password, or an identity token instead; never printed."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of the ``Authorization`` header in HTTP's Basic scheme."""
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def find_credential(registry: str) -> Credential | None:
    """Return the stored credential for a registry, or None for anonymous access.

    Looks into podman's ``auth.json`` (``REGISTRY_AUTH_FILE``, else where podman keeps it), then
    into Docker's ``config.json`` (in ``DOCKER_CONFIG``, else in ``~/.docker``).

    Raises:
        RegistryError: a file or a helper is broken.
    """
    for path in _files():
        found = _look(path, registry)
        if found is not None:
            return found
    return None


def _files() -> Iterator[Path]:
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
        return
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime, "containers", "auth.json")
    yield Path(os.environ.get("DOCKER_CONFIG") or Path("~/.docker").expanduser(), "config.json")


def _look(path: Path, registry: str) -> Credential | None:
    document = _read(path)
    if document is None:
        return None
    keys = (registry, *(_HUB_KEYS if registry == DOCKER_HUB else ()))
    helpers, auths = (_mapping(document, key, path) for key in ("credHelpers", "auths"))
    for key in keys:
        if key in helpers:
            return _ask(str(helpers[key]), key)
    if isinstance(document.get("credsStore"), str) and document["credsStore"]:
        asked = (_HUB_KEYS[0],) if registry == DOCKER_HUB else (registry,)
        found = _ask(document["credsStore"], asked[0])
        if found is not None:
            return found
    for key, told in auths.items():
        if _same(key, keys) and isinstance(told, dict) and told:
            return _decode(told, path, registry)
    return None


def _same(key: str, keys: tuple[str, ...]) -> bool:
    """Return whether ``key`` names the registry; old files have a whole URL as the key."""
    return key in keys or key.partition("://")[2].partition("/")[0] in keys


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as source:
            content = source.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise RegistryError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    try:
        return decode(content, what=str(path))
    except ImageError as exc:
        raise RegistryError(exc.message, remedy="fix the file, or run docker login again") from exc


def _mapping(document: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = document.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RegistryError(f"{key!r} in {path} is not a JSON object.")
    return found


def _decode(told: Mapping[str, Any], path: Path, registry: str) -> Credential | None:
    token, auth = told.get("identitytoken", ""), told.get("auth", "")
    name, password = told.get("username", ""), told.get("password", "")
    if not all(isinstance(each, str) for each in (token, auth, name, password)):
        raise RegistryError(f"{path} has an entry for {registry} that is not a string.")
    if auth:
        try:
            name, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            # The original error would reveal the stored secret.
            raise RegistryError(
                f"the entry of {path} for {registry} is not in base64.",
                remedy=f"docker login {registry}",
            ) from None
    if not (name or password or token):
        return None
    return Credential(name, password, token)


def _ask(helper: str, registry: str) -> Credential | None:
    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise RegistryError(f"{helper!r} is not a valid name of a credential helper.")
    try:
        done = subprocess.run(
            [program, "get"],
            input=registry.encode(),
            capture_output=True,
            timeout=HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        late = isinstance(exc, subprocess.TimeoutExpired)
        why = f"did not answer within {HELPER_SECONDS} s" if late else "cannot be run"
        raise RegistryError(
            f"{program}, which stores the password for {registry}, {why}.",
            remedy=f"install {program}, or remove it from Docker's config.json",
        ) from None
    if done.returncode != 0:
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise RegistryError(f"{program} failed with exit code {done.returncode} for {registry}.")
    return _answer(done.stdout, program)


def _answer(content: bytes, program: str) -> Credential:
    try:
        found = decode(content, what=f"the answer of {program}")
    except ImageError:
        raise RegistryError(f"the answer of {program} cannot be read.") from None
    name, secret = found.get("Username", ""), found.get("Secret", "")
    if not isinstance(name, str) or not isinstance(secret, str):
        raise RegistryError(f"the answer of {program} contains values that are not strings.")
    if name == _TOKEN_USER:
        return Credential(identity_token=secret)
    return Credential(name, secret)
