"""Check the URLs that a registry sends us to: HTTPS, or plain HTTP where it is in use already."""

from __future__ import annotations

from onnxpack.errors import MissingExtraError, RegistryError

try:
    import httpcore
    import httpx
except ModuleNotFoundError as exc:
    raise MissingExtraError(str(exc.name), extra="image") from exc

# The other modules import both from here, where a missing package raises a helpful error.
__all__ = ["LOCAL", "follow", "httpcore", "httpx", "same_origin"]

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


def follow(base: httpx.URL, location: str, *, why: str) -> httpx.URL:
    """Return the URL that ``location`` points to, resolved against ``base``.

    Raises:
        RegistryError: ``location`` is not a URL, or not one that a registry has a reason to send.
    """
    try:
        found = base.join(location)
    except (httpx.InvalidURL, ValueError) as exc:
        raise RegistryError(
            f"{base.host} redirects {why} to an address that is not valid: {location[:200]!r}."
        ) from exc
    # Plain HTTP leads no further than it was asked for: the same registry, or this machine.
    here = base.scheme == found.scheme == "http" and {base.host, found.host} <= LOCAL
    safe = found.scheme == "https" or here or same_origin(base, found)
    if not safe or not found.host or found.userinfo:
        shown = str(found.copy_with(query=None, userinfo=b""))[:200]
        raise RegistryError(
            f"{base.host} redirects {why} to {shown}, which is refused.",
            remedy="onnxpack follows https, and http only to the same registry or on this machine",
        )
    return found


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Return whether two URLs share scheme, host and port, and so credentials."""
    return _origin(one) == _origin(other)


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)
