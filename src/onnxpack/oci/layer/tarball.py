"""Write entries as a tar, the same bytes each time."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from onnxpack.errors import ImageError
from onnxpack.oci.layer.entry import Entry, Folder, Symlink

BLOCK = 2**20
END = bytes(tarfile.BLOCKSIZE * 2)


def tar_blocks(entries: Iterable[Entry], *, mtime: int = 0) -> Iterator[bytes]:
    """Yield the tar of arranged entries in blocks of BLOCK bytes; the last block may be shorter.

    The output of a compressor depends on how its input is cut, so the cuts are fixed.

    Raises:
        ImageError: a file cannot be read, or changes while it is read.
    """
    held = bytearray()
    for piece in _pieces(entries, mtime):
        held += piece
        while len(held) >= BLOCK:
            yield bytes(held[:BLOCK])
            del held[:BLOCK]
    if held:
        yield bytes(held)


def _pieces(entries: Iterable[Entry], mtime: int) -> Iterator[bytes]:
    for entry in entries:
        match entry.source:
            case Path() as path:
                yield from _file(entry, path, mtime)
            case bytes() as content:
                yield header(entry, mtime, size=len(content))
                yield content
                yield padding(len(content))
            case _:
                yield header(entry, mtime)
    yield END


def _file(entry: Entry, path: Path, mtime: int) -> Iterator[bytes]:
    with opened(path) as (source, size):
        yield header(entry, mtime, size=size)
        left = size
        while left and (piece := source.read(min(BLOCK, left))):
            left -= len(piece)
            yield piece
        if left or source.read(1):
            raise ImageError(f"{path} changed while it was read.", remedy="try again")
        yield padding(size)


@contextmanager
def opened(path: Path, *, flags: int = 0) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file for reading and yield it with its size.

    Args:
        path: path of the file.
        flags: additional flags of ``os.open``, such as O_NOFOLLOW.

    Raises:
        ImageError: the file is missing, cannot be read, or is not a regular file.
    """
    try:
        # O_NONBLOCK: opening a named pipe would wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    except OSError as exc:
        raise ImageError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise ImageError(f"{path} is not a regular file.")
    with os.fdopen(handle, "rb", buffering=0) as source:
        yield source, found.st_size


def header(entry: Entry, mtime: int, *, size: int = 0) -> bytes:
    """Return the tar header of an entry, with an extended header if name or size needs it."""
    info = tarfile.TarInfo(entry.path)
    info.mode, info.mtime, info.size = entry.permissions, mtime, size
    if isinstance(entry.source, Symlink):
        info.type, info.linkname = tarfile.SYMTYPE, entry.source.target
    elif isinstance(entry.source, Folder):
        info.type = tarfile.DIRTYPE
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    """Return the zero bytes that fill up the last block of a file."""
    return bytes(-size % tarfile.BLOCKSIZE)
