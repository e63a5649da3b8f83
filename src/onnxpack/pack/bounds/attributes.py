"""Read the attributes of a node that decide how large its output is."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from onnxpack.pack import wire
from onnxpack.pack.bounds.messages import Node

_NAME, _FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS, _STRINGS, _SPARSE = (
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    9,
    22,
)


class Attribute(NamedTuple):
    """The values of an attribute by kind; those of other kinds are empty."""

    name: bytes
    numbers: tuple[float, ...]
    tensor: memoryview | None
    sparse: memoryview | None
    strings: int


def read_attributes(node: Node) -> dict[bytes, Attribute]:
    """Return the attributes of a node by name.

    Raises:
        PackError: the bytes are not an attribute.
    """
    return {found.name: found for found in map(_read, node.attributes)}


def _read(data: memoryview) -> Attribute:
    name, numbers, strings = b"", list[float](), 0
    held: dict[int, memoryview] = {}
    for number, wire_type, value in wire.read_fields(data):
        if isinstance(value, int):
            numbers += [wire.to_int64(value)] if number in (_INT, _INTS) else []
        elif number == _NAME:
            name = bytes(value)
        elif wire_type == wire.FIXED32:
            numbers += struct.unpack("<f", value)
        elif number in (_INTS, _FLOATS):
            numbers += _packed(value, number)
        elif number in (_STRING, _STRINGS):
            strings += 1
        else:
            held[number] = value
    return Attribute(name, tuple(numbers), held.get(_TENSOR), held.get(_SPARSE), strings)


def _packed(data: memoryview, number: int) -> list[Any]:
    if number == _FLOATS:
        return list(struct.unpack(f"<{len(data) // 4}f", data[: len(data) // 4 * 4]))
    found, position = list[int](), 0
    while position < len(data):
        value, position = wire.read_varint(data, position)
        found.append(wire.to_int64(value))
    return found
