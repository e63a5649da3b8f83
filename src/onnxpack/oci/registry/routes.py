"""Choose how a request leaves this machine: directly, or through a proxy of the environment."""

from __future__ import annotations

import ssl
import threading
from urllib.request import getproxies, proxy_bypass

from onnxpack.oci.registry.address import LOCAL, httpx
from onnxpack.oci.registry.pace import PacedTransport


class Routes(httpx.BaseTransport):
    """Sends each request by its route; every route keeps to the request's pace.

    httpx finds proxies itself only if no transport is given.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._known: dict[str | None, PacedTransport] = {}
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return the response with its body unread."""
        proxy = proxy_of(request.url)
        with self._lock:
            if proxy not in self._known:
                self._known[proxy] = PacedTransport(self._context, proxy)
            route = self._known[proxy]
        return route.handle_request(request)

    def close(self) -> None:
        """Close the connections of every route."""
        for route in self._known.values():
            route.close()


def proxy_of(url: httpx.URL) -> str | None:
    """Return the proxy that the environment names for a URL; none reaches this machine."""
    if url.host in LOCAL or proxy_bypass(url.netloc.decode()):
        return None
    named = getproxies()
    proxy = named.get(url.scheme) or named.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"
