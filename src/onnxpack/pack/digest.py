"""Compute the digest and size of a file of any size."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from onnxpack.pack.manifest import FileEntry

CHUNK = 2**16
"""Bytes that are read at once: they stay in the processor's cache from the hash to the copy."""


def measure(source: BinaryIO, *, copy_to: BinaryIO | None = None) -> FileEntry:
    """Read a stream to its end in pieces, copy it if asked, and return its digest and size."""
    digest, count = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        count += len(chunk)
        if copy_to is not None:
            copy_to.write(chunk)
    return FileEntry(digest.hexdigest(), count)
