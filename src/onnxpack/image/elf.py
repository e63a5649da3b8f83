"""Shared libraries without what only debuggers read.

The loader goes by segments alone (System V ABI, chapter 5). Sections, symbols for linking and debug
information lie behind the last segment, and in some wheels are most of the file.
"""

from __future__ import annotations

import struct

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_ELF64_LITTLE = b"\x7fELF\x02\x01"
WORTH = 64 * 1024
"""Bytes that have to be saved."""


def stripped(content: bytes) -> bytes | None:
    """A library up to the end of its last segment; None where that is not worth it, or no ELF."""
    if not content.startswith(_ELF64_LITTLE) or len(content) < _HEADER.size:
        return None
    fields = list(_HEADER.unpack_from(content))
    segments_at, each, count = fields[5], fields[9], fields[10]
    if each != _SEGMENT.size or not count or segments_at + each * count > len(content):
        return None
    end = segments_at + each * count
    for number in range(count):
        _, _, offset, _, _, size, _, _ = _SEGMENT.unpack_from(content, segments_at + each * number)
        end = max(end, offset + size)
    if end + WORTH > len(content):
        return None
    fields[6] = fields[12] = fields[13] = 0  # no table of sections any more
    return _HEADER.pack(*fields) + content[_HEADER.size : end]
