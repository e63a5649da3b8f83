"""The datatypes of the Open Inference Protocol, the byte form of its raw tensors, and their errors.

Raw tensors are row-major and little-endian. Each element of BYTES is a 4-byte little-endian length
followed by the bytes themselves.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence

import numpy as np

from onnxpack.server.errors import RequestError, bad_request
from onnxpack.signature import Array

NAMES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "str": "BYTES",
}
"""The protocol's name of each numpy dtype."""

_BY_DTYPE = {np.dtype(dtype): name for dtype, name in NAMES.items() if dtype != "str"}
DTYPES = {name: dtype for dtype, name in NAMES.items()}
_WIRE = {name: dtype.newbyteorder("<") for dtype, name in _BY_DTYPE.items()}
MAX_RANK = 32
"""Most axes of a tensor; numpy before version 2 allows no more than 32."""
MAX_ELEMENTS = 2**40
"""More elements than any body has, and few enough for numpy to count."""
BINARY_ONLY = {"FP16"}
"""Datatypes that have no JSON form."""
NOT_SERVED = ("shared_memory_region", "classification")
"""Triton's tensor parameters that would need a different answer, so they are refused."""


def datatype_of(array: Array) -> str:
    """Return the protocol's name of an array's dtype."""
    return _BY_DTYPE.get(array.dtype, "BYTES")


def count(shape: Sequence[int], name: str) -> int:
    """Return the number of elements of a shape.

    Raises:
        RequestError: there are too many axes, a size is negative, or there are more elements than
            any body could hold.
    """
    if len(shape) > MAX_RANK:
        raise bad_request(f"input {name!r} has {len(shape)} axes, expected at most {MAX_RANK}")
    if shape and (min(shape) < 0 or max(shape) > MAX_ELEMENTS):
        raise bad_request(
            f"input {name!r} has the shape {list(shape)}, expected sizes from 0 to {MAX_ELEMENTS}"
        )
    # Sizes of an empty array are limited too: numpy multiplies the axes that are not 0.
    total = math.prod(size or 1 for size in shape)
    if total > MAX_ELEMENTS:
        raise bad_request(f"input {name!r} has {total} elements, expected at most {MAX_ELEMENTS}")
    return 0 if 0 in shape else total


def from_bytes(content: memoryview, datatype: str, shape: Sequence[int], name: str) -> Array:
    """Return a raw tensor as an array; arrays of numbers share the content's memory.

    Raises:
        RequestError: the content has more or fewer bytes than the shape needs.
    """
    total = count(shape, name)
    if datatype == "BYTES":
        return _strings(content, total, name).reshape(shape)
    dtype = _WIRE[datatype]
    if len(content) != total * dtype.itemsize:
        raise bad_request(
            f"input {name!r} has {len(content)} bytes, expected {total * dtype.itemsize} for "
            f"{datatype}{list(shape)}"
        )
    return np.frombuffer(content, dtype=dtype).reshape(shape)


def to_bytes(array: Array) -> bytes:
    """Return the bytes of an array as a raw tensor."""
    if array.dtype.kind not in "OU":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    parts = []
    for element in array.ravel():
        encoded = element if isinstance(element, bytes) else str(element).encode()
        parts += [struct.pack("<I", len(encoded)), encoded]
    return b"".join(parts)


def _strings(content: memoryview, total: int, name: str) -> Array:
    if total * 4 > len(content):
        raise bad_request(f"input {name!r} has {len(content)} bytes, too few for {total} elements")
    strings = np.empty(total, dtype=object)
    position = 0
    for index in range(total):
        end = position + 4
        if end > len(content):
            raise bad_request(f"input {name!r} ends within element {index}")
        (length,) = struct.unpack_from("<I", content, position)
        position = end + length
        if position > len(content):
            raise bad_request(f"input {name!r} ends within element {index}")
        strings[index] = to_text(bytes(content[end:position]), name)
    if position != len(content):
        raise bad_request(f"input {name!r} has {len(content) - position} bytes after its elements")
    return strings


def to_text(content: bytes, name: str) -> str:
    """Return an element of BYTES as text.

    Raises:
        RequestError: the element is not UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise bad_request(f"input {name!r} holds text that is not UTF-8") from exc


def not_served(side: str, name: str, parameter: str) -> RequestError:
    """Return status 400: a tensor has one of the parameters in NOT_SERVED."""
    return bad_request(f"{side} {name!r} has {parameter}, which this server does not support")


def no_output(name: str, known: Iterable[str]) -> RequestError:
    """Return status 400: the model does not have the requested output."""
    return bad_request(f"there is no output {name!r}; outputs: {', '.join(known)}")


def no_datatype(name: str, datatype: str) -> RequestError:
    """Return status 400: the protocol does not have the datatype of an input."""
    return bad_request(f"input {name!r} has the datatype {datatype!r}; known: {', '.join(DTYPES)}")


def given_twice(name: str) -> RequestError:
    """Return status 400: an input is given twice."""
    return bad_request(f"input {name!r} was given twice")
