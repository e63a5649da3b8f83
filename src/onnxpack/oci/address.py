"""Where a registry may send us: HTTPS anywhere, plain HTTP on this machine alone."""

from __future__ import annotations

from onnxpack.errors import MissingExtraError, RegistryError

try:
    import httpx
except ModuleNotFoundError as exc:
    raise MissingExtraError(str(exc.name), extra="image") from exc

# The other modules take httpx from here, where a missing one is told.
__all__ = ["LOCAL", "follow", "httpx", "same_origin"]

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def follow(base: httpx.URL, location: str, *, why: str) -> httpx.URL:
    """The address that ``base`` points to.

    Raises:
        RegistryError: it is none, or one that no registry has a reason to send us to.
    """
    try:
        found = base.join(location)
    except (httpx.InvalidURL, ValueError) as exc:
        raise RegistryError(f"{base.host} sends {why} to no address: {location[:200]!r}.") from exc
    safe = found.scheme == "https" or (
        found.scheme == "http" and base.scheme == "http" and found.host in LOCAL
    )
    if not safe or not found.host or found.userinfo:
        shown = str(found.copy_with(query=None, userinfo=b""))[:200]
        raise RegistryError(
            f"{base.host} sends {why} to {shown}, which is refused.",
            remedy="onnxpack goes to https addresses alone, and to http on this machine",
        )
    return found


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Whether credentials for one may go to the other."""
    return _origin(one) == _origin(other)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)
