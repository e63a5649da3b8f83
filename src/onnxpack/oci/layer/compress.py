"""Compress and decompress streams: gzip, zstd, or no compression.

gzip uses ISA-L at level 2. Levels 0 to 2 give the same bytes on processors with SSE4, AVX2 and
AVX-512; level 3 does not. zstd always runs with worker threads, even where one thread would do: any
number of workers gives the same bytes, but no workers give other bytes.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias

from onnxpack.errors import ImageError, MissingExtraError
from onnxpack.oci.digest import CHUNK

Compression: TypeAlias = Literal["gzip", "zstd", "none"]
GZIP_LEVEL, ZSTD_LEVEL = 2, 3
# RFC 1952: gzip's header and trailer around a stream with the largest window.
_GZIP_WINDOW = 31
MAX_ZSTD_WINDOW = 2**27
MAX_UNPACKED = 2**38
"""Most bytes of a layer without its compression."""


class Compressor(Protocol):
    """The interface that the compressors of all libraries share."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes and return the compressed bytes that are ready."""

    def flush(self) -> bytes:
        """Return the remaining compressed bytes."""


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def compressor(compression: Compression) -> Compressor:
    """Return a new compressor for this compression.

    Raises:
        MissingExtraError: the library for this compression is not installed.
    """
    if compression == "none":
        return _Plain()
    found: Compressor
    if compression == "gzip":
        found = _library("isal.isal_zlib").compressobj(GZIP_LEVEL, wbits=_GZIP_WINDOW)
    else:
        found = _library("zstandard").ZstdCompressor(level=ZSTD_LEVEL, threads=-1).compressobj()
    return found


def decompressed(source: BinaryIO, compression: str) -> BinaryIO:
    """Return a stream that decompresses ``source`` while it is read.

    Reading raises ImageError if the stream is not compressed in this way.

    Raises:
        MissingExtraError: the library for this compression is not installed.
    """
    if compression == "none":
        return source
    if compression == "gzip":
        library = _library("isal.igzip")
        reader: Callable[[int], bytes] = library.IGzipFile(fileobj=source, mode="rb").read
        errors: tuple[Any, ...] = (OSError, EOFError, _library("isal.isal_zlib").error)
    else:
        library = _library("zstandard")
        bounded = library.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW)
        reader = bounded.stream_reader(source, read_across_frames=True).read
        errors = (library.ZstdError,)
    return io.BufferedReader(_Translated(reader, compression, errors), CHUNK)


def detect(start: bytes) -> Compression:
    """Return the compression of a blob, judged by its first bytes."""
    if start.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zstd" if start.startswith(b"\x28\xb5\x2f\xfd") else "none"


class _Translated(io.RawIOBase):
    """A reader that turns the library's errors into ImageError."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        compression: str,
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._read = read
        self._compression = compression
        self._errors = errors
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            found = self._read(len(buffer))
        except self._errors as exc:
            raise ImageError(f"the layer is not {self._compression}: {exc}.") from exc
        buffer[: len(found)] = found
        self._size += len(found)
        if self._size > MAX_UNPACKED:
            raise ImageError(f"the layer has more than {MAX_UNPACKED} bytes.")
        return len(found)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        raise MissingExtraError(str(exc.name), extra="image") from exc
