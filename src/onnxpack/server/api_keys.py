"""API keys, and the check that a request includes one of them."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from pathlib import Path

from onnxpack.errors import UsageError
from onnxpack.server.errors import RequestError


class Keys:
    """The API keys of a server; without any, no request needs one.

    Args:
        keys: keys in the form in which clients send them.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def check(self, *, authorization: bytes, api_key: bytes) -> None:
        """Accept ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``.

        Raises:
            RequestError: 401, the server has keys, and the request includes none of them.
        """
        if not self._keys:
            return
        scheme, _, token = authorization.partition(b" ")
        given = token.strip() if scheme.lower() == b"bearer" else api_key
        # Compare with every key, so that the time does not reveal which key was close.
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        if not any(matches):
            raise RequestError(401, "an API key is needed: Authorization: Bearer KEY")


def read_keys(path: Path) -> tuple[str, ...]:
    """Return the keys in a file, one key on each line.

    Raises:
        UsageError: the file cannot be read, or has no keys, which would let everybody in.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"--api-key-file {path} cannot be read: {exc}.") from exc
    keys = tuple(line.strip() for line in lines if line.strip())
    if not keys:
        raise UsageError(
            f"--api-key-file {path} contains no keys.", remedy="write one key per line"
        )
    return keys
