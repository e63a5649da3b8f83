"""Read and write the wire format of protocol buffers, strictly.

Graphs and golden data are untrusted, and the runtime does not need the ``onnx`` package to read
them. Groups, which ONNX never uses, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from onnxpack.errors import PackError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
MAX_DEPTH = 100
"""Most levels of nesting, as in protocol buffers' own readers."""

_MAX_FIELD = 2**29 - 1
_FIXED = {FIXED64: 8, FIXED32: 4}

Field: TypeAlias = tuple[int, int, int | memoryview]
"""A field's number, wire type and value: an int for a varint, else bytes."""


def read_fields(data: memoryview, *, depth: int = 0) -> Iterator[Field]:
    """Yield the fields of one message, in the order in which they were written.

    Args:
        data: bytes of the message.
        depth: number of messages that contain this one.

    Raises:
        PackError: the bytes are not a message, or are nested too deep.
    """
    if depth > MAX_DEPTH:
        raise PackError(f"messages are nested more than {MAX_DEPTH} deep.")
    position, end = 0, len(data)
    while position < end:
        field, position = read_field(data, position)
        yield field


def read_field(data: memoryview, position: int) -> tuple[Field, int]:
    """Return the field at ``position``, and the position after it.

    Raises:
        PackError: the bytes there are not a field.
    """
    # Most keys and sizes take one byte.
    key = data[position]
    if key < 0x80:
        position += 1
    else:
        key, position = read_varint(data, position)
    number, wire = key >> 3, key & 7
    if not 0 < number <= _MAX_FIELD:
        raise PackError(f"field number {number} at byte {position} does not exist.")
    if wire == VARINT:
        value, position = read_varint(data, position)
        return (number, wire, value), position
    size, position = _size(data, position, wire)
    left = len(data) - position
    if size > left:
        raise PackError(f"field {number} is {size} bytes long, but only {left} bytes are left.")
    return (number, wire, data[position : position + size]), position + size


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
    """Return the varint at ``position``, and the position after it.

    Raises:
        PackError: the varint is cut off, or wider than 64 bits.
    """
    value, shift, end = 0, 0, len(data)
    while position < end:
        octet = data[position]
        position += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            if value >> 64:
                break
            return value, position
        shift += 7
        if shift > 63:
            break
    else:
        raise PackError(f"a number is cut off at byte {position}.")
    raise PackError(f"a number is wider than 64 bits at byte {position}.")


def to_int64(value: int) -> int:
    """Return a varint as the signed 64-bit number that it encodes."""
    return value - 2**64 if value >= 2**63 else value


def write_varint(number: int, value: int) -> bytes:
    """Return a field with a number; negative numbers take ten bytes, as the format requires."""
    return _varint(number << 3 | VARINT) + _varint(value % 2**64)


def write_length(number: int, size: int) -> bytes:
    """Return the head of a field of ``size`` bytes, which follow it."""
    return _varint(number << 3 | LENGTH) + _varint(size)


def _size(data: memoryview, position: int, wire: int) -> tuple[int, int]:
    if wire == LENGTH:
        if position < len(data) and data[position] < 0x80:
            return data[position], position + 1
        return read_varint(data, position)
    if wire not in _FIXED:
        raise PackError(f"wire type {wire} at byte {position} is not one that ONNX uses.")
    return _FIXED[wire], position


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
