"""The plain predict endpoint: JSON, CSV, a picture or a ``.npy`` in, JSON with labels out."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from tokenize import TokenError
from typing import Any

import msgspec
import numpy as np
from numpy.lib import format as npy

from onnxpack.errors import FeedError, MissingExtraError
from onnxpack.runtime.probabilities import to_probabilities
from onnxpack.server.datatypes import NAMES, count
from onnxpack.server.errors import RequestError, bad_request
from onnxpack.server.http.infer import MALFORMED, nan_as_null, read_json
from onnxpack.server.http.records import (
    CSV,
    Records,
    has_columns,
    read_columns,
    read_csv,
    read_objects,
)
from onnxpack.server.limits import LARGE_BODY
from onnxpack.server.models.served import Served
from onnxpack.signature import Array, TensorSpec

NUMPY = "application/x-npy"
BINARY = "application/octet-stream"
TOP = 5
BROKEN_FILE = (
    ValueError, TypeError, SyntaxError, TokenError, LookupError, RecursionError, MemoryError
)  # fmt: skip
"""Errors that numpy raises for the header of a .npy, which is a Python literal."""
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_top(query: Mapping[str, str]) -> int:
    """Return how many labels to return for each row, from ``?top=``.

    Raises:
        RequestError: 400, the value is not a number from 1 to 10000.
    """
    text = query.get("top", str(TOP))
    if not re.fullmatch("[1-9][0-9]{0,3}|10000", text, re.ASCII):
        raise bad_request(f"top is {text!r}, expected a number from 1 to 10000")
    return int(text)


async def read_feeds(served: Served, content_type: str, body: bytes) -> Records:
    """Return the input arrays from a body of any supported kind, and the columns left out.

    Args:
        served: the model.
        content_type: ``application/json``, ``text/csv``, ``image/*``, or numpy's format.
        body: body of the request.

    Raises:
        RequestError: the body cannot be parsed (400), or its type is not supported (415).
    """
    if len(body) > LARGE_BODY or content_type.startswith("image/"):
        return await asyncio.to_thread(_read, served, content_type, body)
    return _read(served, content_type, body)


def describe_answer(
    served: Served, outputs: Mapping[str, Array], top: int, ignored: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the answer as an object for JSON.

    Returns:
        ``outputs``: each output as nested lists; ``top``: for each row the best labels with
        their probabilities, where the model has labels; ``ignored``: the columns that no input
        takes, if there are any.
    """
    answer: dict[str, Any] = {
        "model_name": served.name,
        "model_version": served.version,
        "outputs": {name: _plain(array) for name, array in outputs.items()},
    }
    labels = served.model.labels
    if labels:
        answer["top"] = _best(outputs, labels, top)
    if ignored:
        answer["ignored"] = list(ignored)
    return answer


def _read(served: Served, content_type: str, body: bytes) -> Records:
    first = served.signature.inputs[0]
    if content_type.startswith("image/"):
        return Records({first.name: _picture(served, body)})
    if content_type == NUMPY or (content_type == BINARY and body.startswith(npy.MAGIC_PREFIX)):
        return Records({first.name: _numpy(body)})
    if content_type in ("application/json", ""):
        return _json(served, body)
    known = "application/json, image/*, or a .npy"
    if has_columns(served.signature):
        if content_type == CSV:
            return read_csv(body, served.signature)
        known = "application/json, text/csv, or a .npy"
    raise RequestError(415, f"{content_type!r} is not supported; send {known}")


def _picture(served: Served, body: bytes) -> Array:
    from onnxpack.runtime.picture import FORMATS, read_picture

    try:
        return read_picture(body, served.signature.inputs[0], served.model.preprocess)
    except MissingExtraError as exc:
        raise RequestError(
            415, "this server cannot read pictures: Pillow is not installed"
        ) from exc
    except FeedError as exc:
        if type(exc.__cause__).__name__ != "UnidentifiedImageError":
            raise
        # Pillow's message contains the address of an object in memory, so it is not shown.
        known = ", ".join(FORMATS)
        raise bad_request(
            f"the body is not a picture: {len(body)} bytes in none of these formats: {known}"
        ) from exc


def _numpy(body: bytes) -> Array:
    """Return the array in a ``.npy``; numpy's reader would allocate before it checks the size."""
    stream = io.BytesIO(body)
    try:
        major = npy.read_magic(stream)[0]
        read = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
        shape, by_column, dtype = read(stream)
        rest = memoryview(body)[stream.tell() :]
        if dtype.hasobject or len(rest) != count(shape, "npy") * dtype.itemsize:
            raise ValueError("it contains objects, or bytes are missing or left over")
        flat: Array = np.frombuffer(rest, dtype) if rest else np.empty(0, dtype)
        return flat.reshape(shape, order="F" if by_column else "C")
    except BROKEN_FILE as exc:
        raise bad_request("the body is not a .npy file without pickles") from exc


def _json(served: Served, body: bytes) -> Records:
    """Return the inputs of JSON: tensors by input name or of the only input, or rows by column."""
    text = nan_as_null(body.strip())
    try:
        if has_columns(served.signature):
            content = msgspec.json.decode(text)
            if isinstance(content, list) and dict in map(type, content):
                return read_objects(content, served.signature)
            if isinstance(content, dict) and not any(map(_is_nested, content.values())):
                return read_columns(content, served.signature)
        return Records(_tensors(served.signature.inputs, text))
    except MALFORMED as exc:
        raise bad_request(f"the body is not JSON rows: {exc}") from exc


def _is_nested(value: Any) -> bool:
    return isinstance(value, list) and list in map(type, value)


def _tensors(specs: Sequence[TensorSpec], text: bytes) -> dict[str, Array]:
    """Return the tensors of an object by input name, or of the rows of the only input."""
    if text.startswith(b"{"):
        entries = _RAW.decode(text)
        known = {spec.name: spec for spec in specs}
        unknown = [name for name in entries if name not in known]
        if unknown:
            raise bad_request(f"there is no input {unknown[0]!r}; inputs: {', '.join(known)}")
        return {name: _rows(bytes(raw), known[name]) for name, raw in entries.items()}
    if len(specs) > 1:
        names = ", ".join(spec.name for spec in specs)
        raise bad_request(f"the model has several inputs: send an object with {names}")
    return {specs[0].name: _rows(text, specs[0])}


def _rows(text: bytes, spec: TensorSpec) -> Array:
    shape = _shape_of(msgspec.json.decode(text), spec.name)
    if spec.dtype != "float16":
        return read_json(text, NAMES[spec.dtype], shape, spec.name)
    with np.errstate(over="ignore"):
        halves = read_json(text, "FP32", shape, spec.name).astype(np.float16)
    if np.isinf(halves).any():
        raise bad_request(f"input {spec.name!r} holds a number too large for float16")
    return halves


def _shape_of(value: Any, name: str) -> list[int]:
    """Return the shape of nested lists, which must have equal lengths on each level."""
    shape: list[int] = []
    level = [value]
    while (kinds := set(map(type, level))) == {list}:
        lengths = set(map(len, level))
        if len(lengths) > 1:
            raise bad_request(f"the rows of input {name!r} have different lengths")
        shape += lengths
        level = list(chain.from_iterable(level))
    if list in kinds:
        raise bad_request(f"the rows of input {name!r} mix lists and values")
    return shape


def _plain(array: Array) -> Any:
    """Return a value for JSON, which has no NaN and no infinity: they become null."""
    plain = array.dtype.kind in "fiub" and array.ndim
    return np.ascontiguousarray(array) if plain else array.tolist()


def _best(outputs: Mapping[str, Array], labels: tuple[str, ...], top: int) -> Any:
    """Return the best labels of each row, from the first output with one column a label."""
    scored = next((a for a in outputs.values() if _is_score(a, len(labels))), None)
    if scored is None:
        return None
    rows, _ = to_probabilities(scored)
    order = np.argsort(-rows, axis=1, kind="stable")[:, :top]
    return [
        [{"label": labels[column], "score": float(row[column])} for column in columns]
        for row, columns in zip(rows, order, strict=True)
    ]


def _is_score(array: Array, classes: int) -> bool:
    return array.ndim == 2 and array.shape[1] == classes and array.dtype.kind in "fiu"
