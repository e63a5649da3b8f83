from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxpack.errors import PackError
from onnxpack.pack import wire


def fields(data: bytes, depth: int = 0) -> list[tuple[int, int, int | bytes]]:
    return [
        (number, kind, value if isinstance(value, int) else bytes(value))
        for number, kind, value in wire.read_fields(memoryview(data), depth=depth)
    ]


@given(st.integers(1, 2**29 - 1), st.integers(-(2**63), 2**63 - 1))
def test_a_number_comes_back(number: int, value: int) -> None:
    [(found, kind, read)] = fields(wire.write_varint(number, value))
    assert (found, kind) == (number, wire.VARINT)
    assert isinstance(read, int)
    assert wire.to_int64(read) == value


@given(st.integers(1, 2**29 - 1), st.binary(max_size=300))
def test_bytes_come_back(number: int, value: bytes) -> None:
    data = wire.write_length(number, len(value)) + value
    assert fields(data) == [(number, wire.LENGTH, value)]


def test_fixed_fields_are_read() -> None:
    data = bytes([1 << 3 | 1]) + bytes(range(8)) + bytes([2 << 3 | 5]) + bytes(range(4))
    assert fields(data) == [(1, 1, bytes(range(8))), (2, 5, bytes(range(4)))]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x80", "cut off"),
        (b"\x08", "cut off"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "wider than 64 bits"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "wider than 64 bits"),
        (b"\x0a\x05abc", "5 bytes long, but only 3 bytes are left"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "bytes long"),
        (b"\x09\x00", "8 bytes long"),
        (b"\x0d\x00", "4 bytes long"),
        (b"\x0b", "wire type 3"),
        (b"\x0f", "wire type 7"),
        (b"\x00\x00", "field number 0"),
        (b"\xf8\xff\xff\xff\x7f\x00", "does not exist"),
    ],
)
def test_malformed_bytes_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(PackError, match=said):
        fields(data)


def test_nesting_is_bounded() -> None:
    assert fields(b"", depth=wire.MAX_DEPTH) == []
    with pytest.raises(PackError, match="nested"):
        fields(b"", depth=wire.MAX_DEPTH + 1)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_whole_or_refused(data: bytes) -> None:
    try:
        read = fields(data)
    except PackError:
        return
    assert sum(len(value) for _, _, value in read if isinstance(value, bytes)) <= len(data)
