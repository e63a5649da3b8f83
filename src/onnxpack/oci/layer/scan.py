"""Read a layer once to compute its digests and to check its members."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from onnxpack.errors import ImageError
from onnxpack.oci.digest import CHUNK
from onnxpack.oci.layer.compress import MAX_UNPACKED, decompressed
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.layer.members import opened_tar

MAX_FAULTS = 100


@dataclass(frozen=True, slots=True)
class Scanned:
    """The digests and size of a layer, and the faults found in its tar."""

    digest: str
    size: int
    diff_id: str
    faults: tuple[str, ...]


def scan_layer(layer: Layer, compression: str | None) -> Scanned:
    """Read a layer to its end, using little memory.

    Args:
        layer: the layer to read.
        compression: its compression; None for a blob that is not a tar.

    Raises:
        ImageError: the file is missing, or shorter than it should be.
    """
    faults: list[str] = []
    with layer.open() as source:
        packed = _Summed(source)
        if compression is None:
            packed.drain()
            return Scanned(packed.digest, packed.size, packed.digest, ())
        try:
            plain = _Summed(decompressed(io.BufferedReader(packed, CHUNK), compression))
            _read_tar(plain, faults)
            plain.drain()
            diff_id = plain.digest
        except ImageError as exc:
            faults.append(exc.message)
            diff_id = ""
        packed.drain()
    return Scanned(packed.digest, packed.size, diff_id, tuple(faults))


class _Summed(io.RawIOBase):
    """A reader that computes digest and size of the bytes that pass through it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._sum = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._sum.hexdigest()}"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        found = self._source.read(len(buffer))
        buffer[: len(found)] = found
        self._sum.update(found)
        self.size += len(found)
        if self.size > MAX_UNPACKED:
            raise ImageError(f"the layer has more than {MAX_UNPACKED} bytes.")
        return len(found)

    def drain(self) -> None:
        while self.read(CHUNK):
            pass


def _read_tar(source: _Summed, faults: list[str]) -> None:
    seen: set[bytes] = set()
    try:
        with opened_tar(source, "r|", what="it") as tar:
            for member in tar:
                if len(faults) >= MAX_FAULTS:
                    faults.append("the tar has more faults than are shown.")
                    return
                faults.extend(_faults(member, seen))
    except ImageError as exc:
        faults.append(exc.message)


def _faults(member: tarfile.TarInfo, seen: set[bytes]) -> Iterator[str]:
    name = member.name.removeprefix("./").rstrip("/")
    if _escapes(member.name):
        yield f"{member.name!r} would escape from the folder."
    key = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=16).digest()
    if key in seen:
        yield f"{name!r} is in the tar twice."
    seen.add(key)
    if member.islnk() and _escapes(member.linkname):
        yield (
            f"{member.name!r} is a hard link that would escape from the folder, to "
            f"{member.linkname!r}."
        )
    if member.isdev():
        yield f"{member.name!r} is neither a file, a folder nor a link."


def _escapes(name: str) -> bool:
    return name.startswith("/") or ".." in name.split("/")
