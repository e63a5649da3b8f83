"""Read the sizes that a graph states for its inputs, which it takes in no other size."""

from __future__ import annotations

from collections.abc import Iterator

from onnxpack.pack import wire

_TYPE, _TENSOR, _SHAPE, _DIM = 2, 1, 2, 1
_VALUE = 1


def read_port(data: memoryview) -> tuple[bytes, tuple[int | None, ...] | None]:
    """Return an input's name and sizes: None for a free size, and for an unknown rank.

    Raises:
        PackError: the bytes are not a ``ValueInfoProto``.
    """
    name = b"".join(_fields(data, 1))
    for kind in _fields(data, _TYPE):
        for tensor in _fields(kind, _TENSOR):
            for shape in _fields(tensor, _SHAPE):
                return name, tuple(_size(dim) for dim in _fields(shape, _DIM))
    return name, None


def _fields(data: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, _, value in wire.read_fields(data):
        if number == wanted and not isinstance(value, int):
            yield value


def _size(dim: memoryview) -> int | None:
    sizes = [value for number, _, value in wire.read_fields(dim) if number == _VALUE]
    found = sizes[-1] if sizes else None
    return wire.to_int64(found) if isinstance(found, int) and found < 2**63 else None
