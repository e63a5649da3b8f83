"""Find the shared libraries that a provider needs, and those that are missing here."""

from __future__ import annotations

import ctypes
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, NamedTuple

MAX_SECTION_BYTES = 16 * 2**20
_SECTION = struct.Struct("<IIQQQQIIQQ")
_ENTRY = struct.Struct("<qQ")
_DYNAMIC, _NEEDED = 6, 1


def provider_library(name: str) -> Path | None:
    """Return the library file of a provider; None if it is built in or absent.

    Args:
        name: the provider's full name.
    """
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return None
    short = name.removesuffix("ExecutionProvider").lower()
    path = Path(spec.origin).parent / "capi" / f"libonnxruntime_providers_{short}.so"
    return path if path.is_file() else None


def missing_libraries(library: Path) -> tuple[str, ...]:
    """Return the needed libraries that cannot be loaded, in the library's own order."""
    return tuple(name for name in needed_libraries(library) if not _loads(name))


def needed_libraries(library: Path) -> tuple[str, ...]:
    """Return the libraries that a 64-bit ELF file needs; empty for any other file."""
    try:
        with library.open("rb") as stream:
            return tuple(_needed(stream))
    except (OSError, struct.error, LookupError, ValueError, OverflowError):
        return ()


class _Section(NamedTuple):
    kind: int
    offset: int
    size: int
    link: int


def _needed(stream: BinaryIO) -> list[str]:
    header = stream.read(64)
    if header[:6] != b"\x7fELF\x02\x01":
        return []
    sections = _sections(stream, header)
    return [
        _name(_content(stream, sections[dynamic.link]), value)
        for dynamic in sections
        if dynamic.kind == _DYNAMIC
        for tag, value in _ENTRY.iter_unpack(_content(stream, dynamic))
        if tag == _NEEDED
    ]


def _sections(stream: BinaryIO, header: bytes) -> list[_Section]:
    (table,) = struct.unpack_from("<Q", header, 40)
    size, count = struct.unpack_from("<HH", header, 58)
    sections = []
    for index in range(count):
        stream.seek(table + index * size)
        _, kind, _, _, offset, length, link, *_ = _SECTION.unpack(stream.read(_SECTION.size))
        sections.append(_Section(kind, offset, length, link))
    return sections


def _content(stream: BinaryIO, section: _Section) -> bytes:
    if section.size > MAX_SECTION_BYTES:
        raise ValueError("the section is too large to be what it says")
    stream.seek(section.offset)
    return stream.read(section.size)


def _name(names: bytes, offset: int) -> str:
    return names[offset : names.index(b"\0", offset)].decode()


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
