"""Convert requests of the Open Inference Protocol, version 2, over REST to arrays and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson

from onnxpack.server.datatypes import (
    BINARY_ONLY,
    DTYPES,
    NAMES,
    NOT_SERVED,
    count,
    datatype_of,
    from_bytes,
    given_twice,
    no_datatype,
    no_output,
    not_served,
    to_bytes,
)
from onnxpack.server.errors import bad_request
from onnxpack.signature import Array, Signature, describe

JSON = b"application/json"
BINARY = b"application/octet-stream"


class _TensorParameters(msgspec.Struct):
    shared_memory_region: Any = None
    classification: Any = None


class _InputParameters(_TensorParameters):
    binary_data_size: int | None = None


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: _InputParameters | None = None
    data: msgspec.Raw = msgspec.Raw()


class _OutputParameters(_TensorParameters):
    binary_data: bool | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: _OutputParameters | None = None


class _Parameters(msgspec.Struct):
    binary_data_output: bool = False


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str | None = None
    outputs: list[_Output] | None = None
    parameters: _Parameters | None = None


_DECODER = msgspec.json.Decoder(_Request)
_STRINGS = msgspec.json.Decoder(Any)
_STRING_OR_NAN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|NaN', re.DOTALL)
"""A text of JSON as a whole, also one that does not end, so that matching takes linear time."""
MALFORMED = (msgspec.DecodeError, RecursionError, ValueError)
"""What a decoder raises; ValueError is raised for a number with thousands of digits."""


def _flat(datatype: str) -> msgspec.json.Decoder[list[Any]]:
    """Return a decoder of flat lists of numbers.

    It is as fast as numpy's own parser, which wraps 300 to 44 for uint8.
    """
    dtype = np.dtype(DTYPES[datatype])
    element: Any = {"b": bool, "f": float | None}.get(dtype.kind, int)
    if element is int:
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        # msgspec accepts limits of signed 64 bits only; numpy refuses larger values.
        element = Annotated[int, msgspec.Meta(ge=low, le=high if high < 2**63 else None)]
    return msgspec.json.Decoder(list[element])


_FLAT = {name: _flat(name) for name in DTYPES if name != "BYTES"}


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A parsed infer request.

    Attributes:
        id: id that the client gave to the request.
        feeds: input arrays by name.
        outputs: for each requested output, whether it is returned as raw bytes.
    """

    id: str | None
    feeds: dict[str, Array]
    outputs: dict[str, bool]


def parse_request(body: bytes, json_length: int | None, signature: Signature) -> InferRequest:
    """Parse the body of ``POST …/infer``.

    Args:
        body: JSON, then the raw tensors in the order of the inputs.
        json_length: bytes of JSON (``Inference-Header-Content-Length``); None if all is JSON.
        signature: inputs and outputs of the model.

    Raises:
        RequestError: 400, with the actual and the expected value.
    """
    size = len(body) if json_length is None else json_length
    if not 0 <= size <= len(body):
        raise bad_request(
            f"the header announces {size} bytes of JSON, but the body has {len(body)}"
        )
    try:
        request = _DECODER.decode(nan_as_null(body if json_length is None else body[:size]))
    except MALFORMED as exc:
        raise bad_request(f"the body is not an inference request: {exc}") from exc
    feeds: dict[str, Array] = {}
    rest = memoryview(body)[size:]
    for given in request.inputs:
        if given.name in feeds:
            raise given_twice(given.name)
        feeds[given.name], rest = _read_input(given, rest)
    if len(rest):
        raise bad_request(f"the body has {len(rest)} bytes that belong to no input")
    return InferRequest(request.id, feeds, _wanted(request, signature))


def write_response(
    model: str, version: str, request: InferRequest, outputs: Mapping[str, Array]
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers and body that answer a request."""
    described: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for name, binary in request.outputs.items():
        array = outputs[name]
        entry: dict[str, Any] = {
            "name": name,
            "shape": array.shape,
            "datatype": datatype_of(array),
        }
        if binary:
            content = to_bytes(array)
            raw.append(content)
            entry["parameters"] = {"binary_data_size": len(content)}
        else:
            flat = np.ascontiguousarray(array).ravel()
            _check_finite(name, flat)
            entry["data"] = flat.tolist() if flat.dtype.kind in "OU" else flat
        described.append(entry)
    answer = {"model_name": model, "model_version": version, "outputs": described}
    if request.id is not None:
        answer["id"] = request.id
    head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not raw:
        return [(b"content-type", JSON)], head
    length = str(len(head)).encode()
    headers = [(b"content-type", BINARY), (b"inference-header-content-length", length)]
    return headers, b"".join((head, *raw))


def nan_as_null(text: bytes) -> bytes:
    """Return JSON with ``null`` for each ``NaN``, which Python's encoder writes and JSON lacks."""
    if b"NaN" not in text:
        return text
    return _STRING_OR_NAN.sub(lambda match: b"null" if match[0] == b"NaN" else match[0], text)


def _check_finite(name: str, values: Array) -> None:
    """Refuse infinity as JSON; NaN is ``null``, as MLServer writes it and requests may have it."""
    if values.dtype.kind == "f" and np.isinf(values).any():
        found = "-Infinity" if np.isneginf(values).any() else "Infinity"
        raise bad_request(
            f"output {name!r} holds {found}, which JSON cannot represent: request it "
            'with "parameters": {"binary_data": true}'
        )


def _wanted(request: _Request, signature: Signature) -> dict[str, bool]:
    binary = request.parameters is not None and request.parameters.binary_data_output
    known = {spec.name: NAMES[spec.dtype] for spec in signature.outputs}
    wanted: dict[str, bool] = {} if request.outputs else dict.fromkeys(known, binary)
    for output in request.outputs or ():
        if output.name not in known:
            raise no_output(output.name, known)
        own = None
        if output.parameters:
            own = output.parameters.binary_data
            _check_parameters("output", output.name, output.parameters)
        wanted[output.name] = binary if own is None else own
    for name, raw in wanted.items():
        if not raw and known[name] in BINARY_ONLY:
            raise bad_request(
                f"output {name!r} is {known[name]}, which JSON cannot represent: request it "
                'with "parameters": {"binary_data": true}'
            )
    return wanted


def _read_input(given: _Input, rest: memoryview) -> tuple[Array, memoryview]:
    if given.datatype not in DTYPES:
        raise no_datatype(given.name, given.datatype)
    size = None
    if given.parameters:
        size = given.parameters.binary_data_size
        _check_parameters("input", given.name, given.parameters)
    if size is not None:
        if given.data:
            raise bad_request(f"input {given.name!r} has both data and binary_data_size")
        if not 0 <= size <= len(rest):
            raise bad_request(
                f"input {given.name!r} announces {size} bytes, but {len(rest)} are left"
            )
        return from_bytes(rest[:size], given.datatype, given.shape, given.name), rest[size:]
    if not given.data:
        raise bad_request(f"input {given.name!r} has neither data nor binary_data_size")
    return read_json(bytes(given.data), given.datatype, given.shape, given.name), rest


def _check_parameters(side: str, name: str, parameters: _TensorParameters) -> None:
    for parameter in NOT_SERVED:
        if getattr(parameters, parameter) is not None:
            raise not_served(side, name, parameter)


def read_json(text: bytes, datatype: str, shape: Sequence[int], name: str) -> Array:
    """Return a JSON array, nested or flat, as an array of this datatype and shape.

    Raises:
        RequestError: the text has other values, or another number of elements.
    """
    total = count(shape, name)
    if datatype in BINARY_ONLY:
        raise bad_request(
            f"input {name!r} is {datatype}, which JSON cannot represent: send it as raw bytes"
        )
    if not total and not text.translate(None, b"[], \t\r\n"):
        return np.empty(shape, dtype=object if datatype == "BYTES" else DTYPES[datatype])
    flat = _json_strings(text, name) if datatype == "BYTES" else _numbers(text, datatype, name)
    if flat.size != total:
        raise bad_request(
            f"input {name!r} has {flat.size} elements, expected {total} for "
            f"{describe(datatype, shape)}"
        )
    return flat.reshape(shape)


def _numbers(text: bytes, datatype: str, name: str) -> Array:
    dtype = np.dtype(DTYPES[datatype])
    flat = b"[" + text.translate(None, b"[] \t\r\n") + b"]"
    try:
        with np.errstate(over="ignore"):
            values = np.array(_FLAT[datatype].decode(flat), dtype=dtype)
    except (*MALFORMED, OverflowError) as exc:
        raise bad_request(f"input {name!r} contains a value that is not {datatype}: {exc}") from exc
    if dtype.kind == "f" and np.isinf(values).any():
        raise bad_request(f"input {name!r} holds a number too large for {datatype}")
    return values


def _json_strings(text: bytes, name: str) -> Array:
    leaves: list[str] = []
    try:
        pending = [_STRINGS.decode(text)]
    except MALFORMED as exc:
        raise bad_request(f"input {name!r} contains a value that is not BYTES: {exc}") from exc
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(reversed(value))
        elif isinstance(value, str):
            leaves.append(value)
        else:
            raise bad_request(f"input {name!r} holds a {type(value).__name__}, expected text")
    strings = np.empty(len(leaves), dtype=object)
    strings[:] = leaves
    return strings
