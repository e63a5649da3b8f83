"""Compressing and decompressing streams: gzip, zstd, or not at all.

gzip is ISA-L's at level 2. Its levels 0 to 2 give the same bytes on processors with SSE4, AVX2
and AVX-512; level 3 does not. zstd runs its workers even where one would do, since with any
number of them it gives the same bytes, and without them others.
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
# RFC 1952: gzip's header and trailer around a stream with the greatest window.
_GZIP_WINDOW = 31
MAX_ZSTD_WINDOW = 2**27


class Compressor(Protocol):
    """What every library's compressor offers."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes; gives those that are ready."""

    def flush(self) -> bytes:
        """The rest."""


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def compressor(compression: Compression) -> Compressor:
    """A new compressor.

    Raises:
        MissingExtraError: its library is not installed.
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
    """The plain bytes of a stream, as they are read.

    Reading raises ImageError where the stream is not so compressed.

    Raises:
        MissingExtraError: its library is not installed.
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
    """How a blob that starts so is compressed."""
    if start.startswith(b"\x1f\x8b"):
        return "gzip"
    return "zstd" if start.startswith(b"\x28\xb5\x2f\xfd") else "none"


class _Translated(io.RawIOBase):
    """A reader whose errors are ours."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        compression: str,
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._read = read
        self._compression = compression
        self._errors = errors

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            found = self._read(len(buffer))
        except self._errors as exc:
            raise ImageError(f"the layer is not {self._compression}: {exc}.") from exc
        buffer[: len(found)] = found
        return len(found)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as exc:
        raise MissingExtraError(str(exc.name), extra="image") from exc
