"""Names of images: ``python:3.13-slim``, ``localhost:5000/team/model@sha256:…``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from onnxpack.errors import UsageError
from onnxpack.oci.digest import is_digest

DOCKER_HUB = "docker.io"
MAX_NAME = 255

_HOST_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LOCAL = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry, by tag, by digest, or by both."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.registry) or not _is_host(self.registry):
            raise _refused(str(self), f"{self.registry!r} is not a valid registry")
        if not _REPOSITORY.fullmatch(self.repository):
            raise _refused(
                str(self), f"{self.repository!r} is not a valid repository in lower case"
            )
        if len(self.registry) + 1 + len(self.repository) > MAX_NAME:
            raise _refused(str(self), f"its name has more than {MAX_NAME} characters")
        if self.tag and not _TAG.fullmatch(self.tag):
            raise _refused(str(self), f"{self.tag!r} is not a valid tag")
        if self.digest and not is_digest(self.digest):
            raise _refused(str(self), f"{self.digest!r} is not a sha256 digest")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a name as ``docker pull`` does: Docker Hub and ``latest`` are the defaults.

        Raises:
            UsageError: the text is not a name of an image.
        """
        rest, at, digest = text.partition("@")
        if at and not digest:
            raise _refused(text, "the digest after @ is missing")
        cut = rest.rfind(":")
        rest, tag = (rest[:cut], rest[cut + 1 :]) if cut > rest.rfind("/") else (rest, None)
        if tag == "":
            raise _refused(text, "the tag after : is missing")
        registry, repository = _split(rest)
        if not repository:
            raise _refused(text, "the repository is missing")
        return cls(registry, repository, tag or ("" if digest else "latest"), digest)

    @property
    def target(self) -> str:
        """The digest if there is one, else the tag: what the registry is asked for."""
        return self.digest or self.tag

    @property
    def host(self) -> str:
        """The host where the registry listens; Docker Hub's differs from its name."""
        return "registry-1.docker.io" if self.registry == DOCKER_HUB else self.registry

    @property
    def url(self) -> str:
        """The root URL of the registry: plain HTTP on this machine, HTTPS everywhere else."""
        scheme = "http" if _LOCAL.fullmatch(self.host) else "https"
        return f"{scheme}://{self.host}"

    def with_digest(self, digest: str) -> Reference:
        """Return the same image, pinned to this digest."""
        return replace(self, digest=digest)


def _split(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    named = slash and _is_host(first)
    registry, repository = (first, rest) if named else (DOCKER_HUB, name)
    if registry == f"index.{DOCKER_HUB}":
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and repository and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository


def _is_host(first: str) -> bool:
    """Return whether the first part of a name is a registry, not the start of the repository."""
    return first == "localhost" or any(mark in first for mark in ".:") or first != first.lower()


def _refused(text: str, why: str) -> UsageError:
    shown = repr(text if len(text) <= 100 else f"{text[:100]}…")
    return UsageError(
        f"{shown} is not a valid image name: {why}.",
        remedy="write it as registry.example.com/team/name:tag",
    )
