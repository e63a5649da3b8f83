"""A part of a file, read as a file of its own."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from onnxpack.oci.digest import CHUNK


class Slice(io.RawIOBase):
    """``size`` bytes of a file from ``start`` on; nobody else may read the file meanwhile."""

    def __init__(self, source: BinaryIO, start: int, size: int) -> None:
        self._source = source
        self._left = size
        source.seek(start)

    @classmethod
    def buffered(cls, source: BinaryIO, start: int, size: int) -> BinaryIO:
        """The same, read in large pieces."""
        return io.BufferedReader(cls(source, start, size), CHUNK)

    def readable(self) -> bool:
        """It is for reading, and for nothing else."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read on, no further than its end."""
        found = self._source.read(min(len(buffer), self._left))
        buffer[: len(found)] = found
        self._left -= len(found)
        return len(found)
