"""Golden data: one array in one file, as a serialised ONNX ``TensorProto``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnxpack.errors import PackError
from onnxpack.pack import paths, wire
from onnxpack.signature import Array

MAX_TENSOR_BYTES = 2**31 - 1
"""Most bytes of a serialised message."""
MAX_VARINT_BYTES = 2**26
"""Most bytes of varints, which take many times their size to read; real files have a few."""
MAX_STRINGS = 2**24
MAX_AXES = 32

_DIMS, _DTYPE, _SEGMENT, _FLOATS, _INT32S, _STRINGS, _INT64S = 1, 2, 3, 4, 5, 6, 7
_NAME, _RAW, _DOUBLES, _UINT64S, _EXTERNAL, _LOCATION = 8, 9, 10, 11, 13, 14
_STRING = 8
_VARINTS = (_INT32S, _INT64S, _UINT64S)
_FIXED = (_FLOATS, _DOUBLES)


class _Kind(NamedTuple):
    """How a data type is stored: its numpy name, and its field if it is not raw."""

    dtype: str
    field: int


_KINDS = {
    1: _Kind("float32", _FLOATS),
    2: _Kind("uint8", _INT32S),
    3: _Kind("int8", _INT32S),
    4: _Kind("uint16", _INT32S),
    5: _Kind("int16", _INT32S),
    6: _Kind("int32", _INT32S),
    7: _Kind("int64", _INT64S),
    9: _Kind("bool", _INT32S),
    10: _Kind("float16", _INT32S),
    11: _Kind("float64", _DOUBLES),
    12: _Kind("uint32", _UINT64S),
    13: _Kind("uint64", _UINT64S),
    14: _Kind("complex64", _FLOATS),
    15: _Kind("complex128", _DOUBLES),
    16: _Kind("bfloat16", _INT32S),
}
_NUMBERS = {kind.dtype: number for number, kind in _KINDS.items()}
_BIT_PATTERNS = ("float16", "bfloat16")


@dataclass(slots=True)
class _Parts:
    """The parsed fields of a message."""

    name: str = ""
    data_type: int = 0
    dims: list[int] = field(default_factory=list)
    raw: memoryview | None = None
    strings: list[str] = field(default_factory=list)
    typed: dict[int, bytearray] = field(default_factory=dict)
    """Little-endian elements by field: unchanged, or each varint as eight bytes."""


def read_tensor(path: Path) -> tuple[str, Array]:
    """Read a file of golden data and return the tensor's name and array.

    Raises:
        PackError: the file is not one whole tensor.
    """
    with paths.open_inside(path.parent, path.name) as stream:
        content = paths.read(stream, limit=MAX_TENSOR_BYTES, what=str(path))
    try:
        return decode_tensor(content)
    except PackError as exc:
        raise PackError(f"{path} is not a tensor: {exc.message}", remedy=exc.remedy) from exc


def decode_tensor(content: bytes) -> tuple[str, Array]:
    """Return the name and array of a serialised ``TensorProto``.

    Raises:
        PackError: the bytes are not one whole tensor.
    """
    parts = _parse(memoryview(content))
    count = _count(parts.dims)
    if parts.data_type == _STRING:
        return parts.name, _strings(parts, count)
    if parts.data_type not in _KINDS:
        raise PackError(f"its data type has number {parts.data_type}, which is not supported.")
    kind = _KINDS[parts.data_type]
    dtype = to_dtype(kind.dtype)
    if parts.raw is not None:
        if parts.typed or parts.strings:
            raise PackError("its elements are written twice: raw and typed.")
        array = _from_raw(parts.raw, dtype, count)
    else:
        array = _from_typed(parts, kind, dtype, count)
    return parts.name, array.reshape(parts.dims)


def encode_tensor(name: str, array: Array) -> bytes:
    """Return an array as a serialised ``TensorProto``, with the same bytes that ``onnx`` writes.

    Raises:
        PackError: golden data cannot hold its dtype, or it is too large.
    """
    is_text = array.dtype.kind in "OU"
    dtype = "str" if is_text else array.dtype.newbyteorder("=").name
    if not is_text and dtype not in _NUMBERS:
        raise PackError(f"tensor {name!r} is {dtype}, which golden data cannot store.")
    if array.nbytes > MAX_TENSOR_BYTES or array.ndim > MAX_AXES:
        raise PackError(
            f"tensor {name!r} has {array.nbytes} bytes and {array.ndim} axes, "
            f"expected at most {MAX_TENSOR_BYTES} and {MAX_AXES}."
        )
    title = name.encode()
    head = [wire.write_varint(_DIMS, size) for size in array.shape]
    head.append(wire.write_varint(_DTYPE, _STRING if is_text else _NUMBERS[dtype]))
    tail = [wire.write_length(_NAME, len(title)), title] if title else []
    if is_text:
        return b"".join([*head, *_string_fields(name, array), *tail])
    raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join([*head, *tail, wire.write_length(_RAW, len(raw)), raw])


def to_dtype(name: str) -> np.dtype[Any]:
    """Return the numpy dtype for a dtype name in a signature.

    Raises:
        PackError: the dtype is bfloat16, and ``ml_dtypes`` is not installed.
    """
    if name != "bfloat16":
        return np.dtype("object" if name == "str" else name)
    try:
        import ml_dtypes
    except ImportError as exc:
        raise PackError(
            "bfloat16 needs the package ml_dtypes, which is not installed.",
            remedy="pip install ml_dtypes",
        ) from exc
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype


def _parse(data: memoryview) -> _Parts:
    parts = _Parts()
    for number, wire_type, value in wire.read_fields(data):
        if isinstance(value, int):
            _take_number(parts, number, value)
        else:
            _take_bytes(parts, number, wire_type, value)
    return parts


def _take_number(parts: _Parts, number: int, value: int) -> None:
    if number == _DTYPE:
        parts.data_type = value
    elif number == _DIMS:
        _take_dims(parts, [value])
    elif number in _VARINTS:
        words = parts.typed.setdefault(number, bytearray())
        if len(words) >= 8 * MAX_VARINT_BYTES:
            raise PackError(f"it holds more than {MAX_VARINT_BYTES} numbers one by one.")
        words += value.to_bytes(8, "little")
    elif number == _LOCATION and value != 0:
        raise PackError(
            "its elements are in another file, but golden data must not refer to other files."
        )


def _take_bytes(parts: _Parts, number: int, wire_type: int, value: memoryview) -> None:
    if number in (_SEGMENT, _EXTERNAL):
        raise PackError(
            "its elements are in another file, but golden data must not refer to other files."
        )
    if number in _FIXED:
        parts.typed.setdefault(number, bytearray()).extend(value)
    elif wire_type != wire.LENGTH:
        return
    elif number == _RAW:
        parts.raw = value
    elif number == _NAME:
        parts.name = _text(value)
    elif number == _DIMS:
        _take_dims(parts, [int(word) for word in _unpack(value[: 10 * MAX_AXES + 1])])
    elif number in _VARINTS:
        parts.typed.setdefault(number, bytearray()).extend(_unpack(value).tobytes())
    elif number == _STRINGS:
        if len(parts.strings) >= MAX_STRINGS:
            raise PackError(f"it holds more than {MAX_STRINGS} strings.")
        parts.strings.append(_text(value))


def _take_dims(parts: _Parts, sizes: list[int]) -> None:
    parts.dims += [wire.to_int64(size) for size in sizes]
    if len(parts.dims) > MAX_AXES:
        raise PackError(f"it has more than {MAX_AXES} axes.")


def _unpack(data: memoryview) -> Array:
    """Return the varints in a packed field, as unsigned 64-bit numbers."""
    if len(data) > MAX_VARINT_BYTES:
        raise PackError(f"{len(data)} bytes of varints, expected at most {MAX_VARINT_BYTES}.")
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < 0x80)
    if len(octets) and (not len(ends) or ends[-1] != len(octets) - 1):
        raise PackError("its last number is cut off.")
    starts = np.concatenate([np.zeros(min(1, len(ends)), ends.dtype), ends[:-1] + 1])
    lengths = ends - starts + 1
    longest = int(lengths.max(initial=0))
    if longest > 10 or np.any(octets[ends[lengths == 10]] > 1):
        raise PackError("one of its numbers is wider than 64 bits.")
    words = np.zeros(len(ends), np.uint64)
    for place in range(longest):
        long = lengths > place
        bits = (octets[starts[long] + place] & 0x7F).astype(np.uint64)
        words[long] |= bits << np.uint64(7 * place)
    return words.astype("<u8", copy=False)


def _count(dims: list[int]) -> int:
    if min(dims, default=0) < 0:
        raise PackError(f"its shape {dims} has a negative size.")
    # Other sizes are limited even if one is 0: numpy multiplies them.
    if math.prod(max(size, 1) for size in dims) > MAX_TENSOR_BYTES:
        raise PackError(f"its shape {dims} has too many elements.")
    return math.prod(dims)


def _from_raw(raw: memoryview, dtype: np.dtype[Any], count: int) -> Array:
    _check_bytes(len(raw), count, dtype.itemsize)
    stored = np.uint8 if dtype.kind == "b" else dtype.newbyteorder("<")
    array = np.frombuffer(raw, stored)
    if dtype.kind == "b" and array.max(initial=0) > 1:
        raise PackError("one of its booleans is neither 0 nor 1.")
    return array.astype(dtype)


def _from_typed(parts: _Parts, kind: _Kind, dtype: np.dtype[Any], count: int) -> Array:
    if parts.strings or set(parts.typed) - {kind.field}:
        raise PackError(f"its elements are not in the field where {kind.dtype} belongs.")
    stored = parts.typed.get(kind.field, bytearray())
    if kind.field in _FIXED:
        return _from_raw(memoryview(stored), dtype, count)
    _check_bytes(len(stored), count, 8)
    words = np.frombuffer(stored, "<u8" if kind.field == _UINT64S else "<i8")
    narrow = np.dtype(np.uint16) if kind.dtype in _BIT_PATTERNS else dtype
    low, high = (0, 1) if narrow.kind == "b" else (np.iinfo(narrow).min, np.iinfo(narrow).max)
    if count and not low <= int(words.min()) <= int(words.max()) <= high:
        raise PackError(f"one of its elements does not fit {kind.dtype}.")
    values = words.astype(narrow)
    return values.view(dtype) if kind.dtype in _BIT_PATTERNS else values


def _check_bytes(found: int, count: int, itemsize: int) -> None:
    if found != count * itemsize:
        raise PackError(
            f"its shape needs {count} elements, but it has {found / itemsize:g}, of {itemsize} "
            "bytes each."
        )


def _strings(parts: _Parts, count: int) -> Array:
    if parts.raw is not None or parts.typed:
        raise PackError("its strings are not in the field where strings belong.")
    if len(parts.strings) != count:
        raise PackError(f"its shape needs {count} strings, but it has {len(parts.strings)}.")
    array = np.empty(count, object)
    array[:] = parts.strings
    return array.reshape(parts.dims)


def _string_fields(name: str, array: Array) -> list[bytes]:
    fields: list[bytes] = []
    if array.size > MAX_STRINGS:
        raise PackError(
            f"tensor {name!r} has {array.size} strings, expected at most {MAX_STRINGS}."
        )
    for element in array.ravel():
        if not isinstance(element, str):
            raise PackError(
                f"tensor {name!r} holds a {type(element).__name__}; golden data can store only "
                "numbers and strings."
            )
        try:
            text = element.encode()
        except UnicodeEncodeError as exc:
            raise PackError(f"tensor {name!r} holds text that is not Unicode.") from exc
        fields += [wire.write_length(_STRINGS, len(text)), text]
    return fields


def _text(value: memoryview) -> str:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError as exc:
        raise PackError(f"its text is not UTF-8: {exc.reason}.") from exc
