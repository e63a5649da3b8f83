"""Layers: written from entries in one pass, or taken from existing files."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from onnxpack.errors import ImageError
from onnxpack.oci import media
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import CHUNK, digest_stream
from onnxpack.oci.layer import compress
from onnxpack.oci.layer.compress import Compression
from onnxpack.oci.layer.entry import Entry, arrange
from onnxpack.oci.layer.tarball import BLOCK, opened, tar_blocks
from onnxpack.oci.store.atomic import atomic_file

# Blocks in flight between the reader, the two digests and the compressor.
_WINDOW = 8


@dataclass(frozen=True, slots=True)
class Layer:
    """The blob of a layer, and where it is stored on this machine.

    Args:
        path: file that contains the blob.
        descriptor: descriptor of the blob, compressed.
        diff_id: digest of the uncompressed tar.
        offset: where the blob starts in the file, for a layer inside an archive.
    """

    path: Path
    descriptor: Descriptor
    diff_id: str
    offset: int = 0

    @contextmanager
    def open(self, *, start: int = 0) -> Iterator[BinaryIO]:
        """Open the blob for reading, still compressed.

        Args:
            start: byte to begin at.

        Raises:
            ImageError: the file is missing, or too short.
        """
        with opened(self.path) as (source, size):
            if self.offset + self.descriptor.size > size:
                raise ImageError(f"{self.path} is shorter than the layer that it holds.")
            left = self.descriptor.size - start
            part = _Part(source, self.offset + start, left)
            yield io.BufferedReader(part, CHUNK)

    @contextmanager
    def unpacked(self) -> Iterator[BinaryIO]:
        """Open the uncompressed tar for reading; reading raises ImageError if it is broken.

        Raises:
            ImageError: the file is missing, or too short.
            MissingExtraError: the library that decompresses it is not installed.
        """
        with self.open() as start:
            kind = compress.detect(start.read(4))
        with self.open() as packed:
            yield compress.decompressed(packed, kind)

    def with_annotations(self, annotations: dict[str, str]) -> Layer:
        """Return the same layer with these annotations in its descriptor."""
        return replace(self, descriptor=replace(self.descriptor, annotations=annotations))


def write_layer(
    entries: Iterable[Entry],
    to: Path,
    *,
    compression: Compression = "gzip",
    mtime: int = 0,
) -> Layer:
    """Write a layer to a file, completely or not at all.

    The entries are sorted and owned by root. The bytes are the same each time, on any number of
    processors.

    Raises:
        ImageError: a path appears twice, or a file cannot be read or written.
        MissingExtraError: the library that compresses it is not installed.
    """
    arranged = arrange(entries)
    with atomic_file(to) as target:
        diff_id, digest, size = _pump(tar_blocks(arranged, mtime=mtime), target, compression)
    return Layer(to, Descriptor(media.layer_type(compression), digest, size), diff_id)


def existing_layer(path: Path) -> Layer:
    """Return an existing tar, plain or compressed, as a layer; it is read once and not copied.

    Raises:
        ImageError: the tar cannot be read or decompressed.
    """
    with opened(path) as (source, _):
        compression = compress.detect(source.read(4))
        source.seek(0)
        digest, size = digest_stream(source)
        source.seek(0)
        diff_id = digest
        if compression != "none":
            diff_id, _ = digest_stream(compress.decompressed(source, compression))
    return Layer(path, Descriptor(media.layer_type(compression), digest, size), diff_id)


def compress_layer(layer: Layer, to: Path, *, compression: Compression = "gzip") -> Layer:
    """Write a layer's tar with another compression and return the new layer.

    Layers by ``docker save`` are not compressed; a base read from there is compressed here.

    Raises:
        ImageError: the layer cannot be read, or its media type is not that of a tar.
        MissingExtraError: the library that compresses it is not installed.
    """
    now = media.compression_of(layer.descriptor.media_type)
    if now is None:
        raise ImageError(f"{layer.descriptor.media_type} is not a layer that can be compressed.")
    with layer.open() as source, atomic_file(to) as target:
        plain = compress.decompressed(source, now)
        diff_id, digest, size = _pump(iter(lambda: plain.read(BLOCK), b""), target, compression)
    return Layer(to, Descriptor(media.layer_type(compression), digest, size), diff_id)


def blob_layer(path: Path, media_type: str, *, annotations: dict[str, str] | None = None) -> Layer:
    """Return any file as a blob of an artifact.

    Raises:
        ImageError: the file cannot be read.
    """
    with opened(path) as (source, _):
        digest, size = digest_stream(source)
    return Layer(path, Descriptor(media_type, digest, size, annotations or {}), digest)


def _pump(
    blocks: Iterator[bytes], target: BinaryIO, compression: Compression
) -> tuple[str, str, int]:
    """Compress blocks into ``target``; return the tar's digest, the blob's digest and its size.

    Reading, the tar's digest, and compressing with the blob's digest run in a thread each. All
    three release the interpreter's lock; each thread takes the blocks in order.
    """
    if compression == "none":
        return _pump_plain(blocks, target)
    packer = compress.compressor(compression)
    plain, packed, size = hashlib.sha256(), hashlib.sha256(), 0

    def put(content: bytes) -> None:
        nonlocal size
        packed.update(content)
        size += target.write(content)

    def pack(block: bytes) -> None:
        put(packer.compress(block))

    with _in_order() as summing, _in_order() as packing:
        under_way: deque[Future[None]] = deque()
        for block in blocks:
            under_way.append(summing.submit(plain.update, block))
            under_way.append(packing.submit(pack, block))
            while len(under_way) > 2 * _WINDOW:
                under_way.popleft().result()
        for each in under_way:
            each.result()
    put(packer.flush())
    return f"sha256:{plain.hexdigest()}", f"sha256:{packed.hexdigest()}", size


def _pump_plain(blocks: Iterator[bytes], target: BinaryIO) -> tuple[str, str, int]:
    found, size = hashlib.sha256(), 0
    with _in_order() as summing:
        under_way: deque[Future[None]] = deque()
        for block in blocks:
            under_way.append(summing.submit(found.update, block))
            size += target.write(block)
            while len(under_way) > _WINDOW:
                under_way.popleft().result()
        for each in under_way:
            each.result()
    digest = f"sha256:{found.hexdigest()}"
    return digest, digest, size


@contextmanager
def _in_order() -> Iterator[ThreadPoolExecutor]:
    """Yield an executor with one thread; if the work fails, waiting tasks are cancelled."""
    pool = ThreadPoolExecutor(1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


class _Part(io.RawIOBase):
    """Reads ``size`` bytes of a file from ``start`` on; nothing else may read it meanwhile."""

    def __init__(self, source: BinaryIO, start: int, size: int) -> None:
        self._source = source
        self._left = size
        source.seek(start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        found = self._source.read(min(len(buffer), self._left))
        buffer[: len(found)] = found
        self._left -= len(found)
        return len(found)
