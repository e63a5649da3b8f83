"""The plain endpoint: JSON rows, a picture or a ``.npy`` in, JSON with labels out."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from onnxpack.errors import MissingExtraError
from onnxpack.server.datatypes import NAMES
from onnxpack.server.protocol import read_json
from onnxpack.server.refusal import Refusal, bad_request
from onnxpack.server.served import Served
from onnxpack.signature import Array, TensorSpec

NUMPY_TYPES = ("application/x-npy", "application/octet-stream")
TOP = 5
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])


async def predict(
    served: Served, content_type: str, body: bytes, query: Mapping[str, str]
) -> dict[str, Any]:
    """Answer a body of any of the plain kinds.

    Args:
        content_type: ``application/json``, ``image/*``, or numpy's format.
        query: ``top``: how many labels to give for each row.

    Returns:
        ``outputs``: each output as nested lists; ``top``: for each row the best labels with
        their scores, where the model has labels.

    Raises:
        Refusal: the body is not understood (400), or of no known type (415).
    """
    top = _top(query)
    feeds = _read(served, content_type, body)
    outputs = await served.infer(feeds)
    answer: dict[str, Any] = {
        "model_name": served.name,
        "model_version": served.version,
        "outputs": {name: _plain(array) for name, array in outputs.items()},
    }
    labels = served.model.labels
    if labels:
        answer["top"] = _best(outputs, labels, top)
    return answer


def _read(served: Served, content_type: str, body: bytes) -> dict[str, Array]:
    first = served.signature.inputs[0]
    if content_type.startswith("image/"):
        return {first.name: _picture(served, body)}
    if content_type in NUMPY_TYPES and body.startswith(b"\x93NUMPY"):
        return {first.name: _numpy(body)}
    if content_type in ("application/json", ""):
        return _json(served, body)
    raise Refusal(
        415, f"{content_type!r} is not understood; send application/json, image/*, or a .npy"
    )


def _picture(served: Served, body: bytes) -> Array:
    from onnxpack.runtime.picture import read_picture

    try:
        return read_picture(body, served.signature.inputs[0], served.model.preprocess)
    except MissingExtraError as exc:
        raise Refusal(415, "this server cannot read pictures: Pillow is not installed") from exc


def _numpy(body: bytes) -> Array:
    try:
        loaded: Array = np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, OSError, EOFError) as exc:
        raise bad_request("the body is not a .npy file without pickles") from exc
    return loaded


def _json(served: Served, body: bytes) -> dict[str, Array]:
    """An object with an entry for each input, or the rows of the only input."""
    specs = served.signature.inputs
    text = body.strip()
    try:
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
    except (msgspec.DecodeError, RecursionError) as exc:
        raise bad_request(f"the body is not JSON rows: {exc}") from exc


def _rows(text: bytes, spec: TensorSpec) -> Array:
    shape = _shape_of(msgspec.json.decode(text), spec.name)
    if spec.dtype not in NAMES:
        raise bad_request(f"input {spec.name!r} is {spec.dtype}, which has no form in JSON")
    return read_json(text, NAMES[spec.dtype], shape, spec.name)


def _shape_of(value: Any, name: str) -> list[int]:
    """The shape of nested lists of equal lengths."""
    if not isinstance(value, list):
        return []
    shapes = {tuple(_shape_of(child, name)) for child in value}
    if len(shapes) > 1:
        raise bad_request(f"the rows of input {name!r} have different lengths")
    return [len(value), *next(iter(shapes), ())]


def _plain(array: Array) -> Any:
    """Nested lists; JSON has no NaN and no infinity, so they are null."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        array = array.astype(object)
        array[~np.isfinite(array.astype(float))] = None
    return array.tolist()


def _best(outputs: Mapping[str, Array], labels: tuple[str, ...], top: int) -> Any:
    """The best labels of each row, from the first output that has a column for each label."""
    scored = next((a for a in outputs.values() if a.ndim == 2 and a.shape[1] == len(labels)), None)
    if scored is None:
        return None
    order = np.argsort(-scored, axis=1, kind="stable")[:, :top]
    return [
        [{"label": labels[column], "score": float(row[column])} for column in columns]
        for row, columns in zip(scored, order, strict=True)
    ]


def _top(query: Mapping[str, str]) -> int:
    text = query.get("top", str(TOP))
    if not text.isdigit() or not 0 < int(text[:6]) <= 10_000:
        raise bad_request(f"top is {text!r}, expected a number from 1 to 10000")
    return int(text)
