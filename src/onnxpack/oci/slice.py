"""Read a part of a file as if it were a file."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from onnxpack.oci.digest import CHUNK


class Slice(io.RawIOBase):
    """``size`` bytes of a file from ``start`` on; nothing else may read the file meanwhile."""

    def __init__(self, source: BinaryIO, start: int, size: int) -> None:
        self._source = source
        self._left = size
        source.seek(start)

    @classmethod
    def buffered(cls, source: BinaryIO, start: int, size: int) -> BinaryIO:
        """Return a slice that is read in large pieces."""
        return io.BufferedReader(cls(source, start, size), CHUNK)

    def readable(self) -> bool:
        """Return True: a slice can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read further, up to the end of the slice."""
        found = self._source.read(min(len(buffer), self._left))
        buffer[: len(found)] = found
        self._left -= len(found)
        return len(found)
