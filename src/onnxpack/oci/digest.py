"""Digests: ``sha256:`` followed by 64 hexadecimal digits; no other algorithm is accepted."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO

from onnxpack.errors import ImageError

CHUNK = 2**20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_digest(text: object) -> bool:
    """Return whether the text is a digest that is safe to use as a file name."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def check_digest(text: object, *, what: str = "the digest") -> str:
    """Return the digest unchanged if it is valid.

    Raises:
        ImageError: the text is not a sha256 digest.
    """
    if not isinstance(text, str) or not is_digest(text):
        raise ImageError(f"{what} is {_short(text)}, not sha256: and 64 hexadecimal digits.")
    return text


def digest_of(content: bytes) -> str:
    """Return the digest of bytes in memory."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def digest_stream(source: BinaryIO, *, copy_to: BinaryIO | None = None) -> tuple[str, int]:
    """Read a stream to its end and return its digest and size; copy it if asked."""
    found, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        found.update(chunk)
        size += len(chunk)
        if copy_to is not None:
            copy_to.write(chunk)
    return f"sha256:{found.hexdigest()}", size


def hex_of(digest: str) -> str:
    """Return the hexadecimal digits of a digest: the name of the blob's file.

    Raises:
        ImageError: the text is not a sha256 digest.
    """
    return check_digest(digest).removeprefix("sha256:")


def _short(found: object) -> str:
    text = repr(found)
    return text if len(text) <= 100 else f"{text[:100]}…"
