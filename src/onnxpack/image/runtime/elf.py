"""Remove from shared libraries what only debuggers read.

The loader reads only segments (System V ABI, chapter 5). Sections, symbols for linking and debug
information are stored behind the last segment. Where auditwheel has put a segment behind them, they
are between two segments. In some wheels they are most of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_ELF64_LITTLE = b"\x7fELF\x02\x01"
WORTH = 64 * 1024
"""Bytes that must be saved for a library to be rewritten."""
MAX_ALIGNMENT = 64 * 1024
"""Bytes of the largest page of any processor."""


class _Gap(NamedTuple):
    """Bytes that no segment needs: where they begin, and how many are removed."""

    start: int
    size: int


def stripped(content: bytes) -> bytes | None:
    """Return a library without the bytes outside its segments.

    Returns:
        None if too little would be saved, or if the content is not such a library.
    """
    if not content.startswith(_ELF64_LITTLE) or len(content) < _HEADER.size:
        return None
    header = list(_HEADER.unpack_from(content))
    at, each, count = header[5], header[9], header[10]
    if each != _SEGMENT.size or not count or at + each * count > len(content):
        return None
    segments = [list(_SEGMENT.unpack_from(content, at + each * n)) for n in range(count)]
    if any(offset + size > len(content) for _, _, offset, _, _, size, _, _ in segments):
        return None
    page = max(align for *_, align in segments)
    if not 0 < page <= MAX_ALIGNMENT:
        return None
    used = [(0, _HEADER.size), (at, at + each * count)]
    used += [(offset, offset + size) for _, _, offset, _, _, size, _, _ in segments]
    gaps = list(_gaps(sorted(used), len(content), page))
    if sum(gap.size for gap in gaps) < WORTH:
        return None
    header[5] = _moved(at, gaps)
    header[6] = header[12] = header[13] = 0  # the table of sections is gone
    for segment in segments:
        segment[2] = _moved(segment[2], gaps)
    made = bytearray(_without(content, gaps))
    _HEADER.pack_into(made, 0, *header)
    for number, segment in enumerate(segments):
        _SEGMENT.pack_into(made, header[5] + each * number, *segment)
    return bytes(made)


def _gaps(used: list[tuple[int, int]], size: int, page: int) -> Iterator[_Gap]:
    """Yield what can be removed: whole pages between segments, and everything behind the last.

    A segment is moved by whole pages, since its offset and address must be equal modulo the page
    size.
    """
    end = 0
    for start, stop in used:
        room = (start - end) // page * page
        if room > 0:
            yield _Gap(end, room)
        end = max(end, stop)
    yield _Gap(end, size - end)


def _moved(offset: int, gaps: list[_Gap]) -> int:
    return offset - sum(gap.size for gap in gaps if gap.start + gap.size <= offset)


def _without(content: bytes, gaps: list[_Gap]) -> bytes:
    ends = [0, *(gap.start + gap.size for gap in gaps)]
    starts = [*(gap.start for gap in gaps), len(content)]
    return b"".join(content[end:start] for end, start in zip(ends, starts, strict=True))
