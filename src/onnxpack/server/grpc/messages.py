"""Convert messages of the Open Inference Protocol, version 2, over gRPC to arrays and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    to_text,
)
from onnxpack.server.errors import bad_request
from onnxpack.server.grpc.inference_pb2 import InferTensorContents, ModelInferResponse
from onnxpack.signature import Array, Signature, describe

FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""The field with the typed elements of each datatype; FP16 has no such field."""


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A parsed infer request.

    Attributes:
        id: id that the client gave to the request.
        feeds: input arrays by name.
        outputs: names of the requested outputs.
        raw: whether outputs are returned as raw bytes.
    """

    id: str
    feeds: dict[str, Array]
    outputs: tuple[str, ...]
    raw: bool


def read_request(message: Any, signature: Signature) -> InferRequest:
    """Parse a ``ModelInferRequest``.

    Raises:
        RequestError: 400, with the actual and the expected value.
    """
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise bad_request(
            f"{len(raw)} raw_input_contents for {len(message.inputs)} inputs, expected one for each"
        )
    feeds: dict[str, Array] = {}
    for place, given in enumerate(message.inputs):
        if given.name in feeds:
            raise given_twice(given.name)
        _check_tensor("input", given)
        if given.datatype not in DTYPES:
            raise no_datatype(given.name, given.datatype)
        feeds[given.name] = _read_raw(given, raw[place]) if raw else _read_typed(given)
    names = _wanted(message, signature)
    datatypes = {NAMES[spec.dtype] for spec in signature.outputs if spec.name in names}
    return InferRequest(message.id, feeds, names, bool(raw) or bool(datatypes & BINARY_ONLY))


def write_response(
    model: str, version: str, request: InferRequest, outputs: Mapping[str, Array]
) -> Any:
    """Return the ``ModelInferResponse`` to a request."""
    response = ModelInferResponse(model_name=model, model_version=version, id=request.id)
    for name in request.outputs:
        array = outputs[name]
        datatype = datatype_of(array)
        entry = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        if request.raw:
            response.raw_output_contents.append(to_bytes(array))
        else:
            entry.contents.CopyFrom(_typed(array, datatype))
    return response


def _wanted(message: Any, signature: Signature) -> tuple[str, ...]:
    known = [spec.name for spec in signature.outputs]
    for output in message.outputs:
        if output.name not in known:
            raise no_output(output.name, known)
        _check_tensor("output", output)
    return tuple(dict.fromkeys(output.name for output in message.outputs)) or tuple(known)


def _check_tensor(side: str, tensor: Any) -> None:
    for parameter in NOT_SERVED:
        if parameter in tensor.parameters:
            raise not_served(side, tensor.name, parameter)


def _read_raw(given: Any, content: bytes) -> Array:
    if given.HasField("contents"):
        raise bad_request(f"input {given.name!r} has both contents and raw_input_contents")
    return from_bytes(memoryview(content), given.datatype, given.shape, given.name)


def _read_typed(given: Any) -> Array:
    name, datatype, shape = given.name, given.datatype, tuple(given.shape)
    total = count(shape, name)
    if datatype in BINARY_ONLY:
        raise bad_request(f"input {name!r} is {datatype}, which must be sent in raw_input_contents")
    filled = {field.name for field, _ in given.contents.ListFields()}
    if filled - {FIELDS[datatype]}:
        raise bad_request(
            f"input {name!r} is {datatype} and has {', '.join(sorted(filled))}, "
            f"expected {FIELDS[datatype]}"
        )
    elements = getattr(given.contents, FIELDS[datatype])
    if len(elements) != total:
        raise bad_request(
            f"input {name!r} has {len(elements)} elements, expected {total} for "
            f"{describe(datatype, shape)}"
        )
    flat = _strings(elements, name) if datatype == "BYTES" else _numbers(elements, datatype, name)
    return flat.reshape(shape)


def _strings(elements: Any, name: str) -> Array:
    strings = np.empty(len(elements), dtype=object)
    strings[:] = [to_text(element, name) for element in elements]
    return strings


def _numbers(elements: Any, datatype: str, name: str) -> Array:
    dtype = np.dtype(DTYPES[datatype])
    # Small integers are sent in wider fields.
    wide = {"i": np.dtype(np.int64), "u": np.dtype(np.uint64)}.get(dtype.kind, dtype)
    values = np.fromiter(elements, wide, len(elements))
    narrow = values.astype(dtype, copy=False)
    if dtype.kind in "iu" and not np.array_equal(values, narrow):
        raise bad_request(f"input {name!r} holds a number that is not {datatype}")
    return narrow


def _typed(array: Array, datatype: str) -> Any:
    elements = array.ravel().tolist()
    if datatype == "BYTES":
        elements = [each if isinstance(each, bytes) else str(each).encode() for each in elements]
    return InferTensorContents(**{FIELDS[datatype]: elements})
