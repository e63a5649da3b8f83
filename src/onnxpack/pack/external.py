"""Find the external data of a graph: weights in files beside it.

A reference is an untrusted path, which ONNX Runtime follows when it loads the graph. So every
reference is checked when a pack is opened, wherever a graph can have one.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from onnxpack.errors import PackError
from onnxpack.pack import paths, wire

MAX_GRAPH_BYTES = 2**31 - 1
"""Most bytes of a graph: no reader of protocol buffers takes more."""
MAX_FIELDS = 2**23
"""Most fields that are read; a graph of a hundred thousand nodes has some millions."""
MAX_REFERENCES = 2**20
BYTES_A_FIELD = 2**11
"""Bytes that can be searched in the time that it takes to read one field."""

_IN_MEMORY = "_ORT_MEM_ADDR_"
"""ONNX Runtime takes the offset of such a location as an address in its own memory."""


class ExternalReference(NamedTuple):
    """Where a tensor says that its elements are stored.

    Attributes:
        tensor: name of the tensor.
        location: path of the file, relative to the graph's folder.
        offset: first byte in the file.
        length: number of bytes; None for the rest of the file.
    """

    tensor: str
    location: str
    offset: int
    length: int | None


class _Child(NamedTuple):
    """A field that holds a message: the kind of message, and whether the field is repeated."""

    kind: str
    repeated: bool = True


_CHILDREN: dict[str, dict[int, _Child]] = {
    "ModelProto": {
        7: _Child("GraphProto", repeated=False),
        20: _Child("TrainingInfoProto"),
        25: _Child("FunctionProto"),
    },
    "TrainingInfoProto": {
        1: _Child("GraphProto", repeated=False),
        2: _Child("GraphProto", repeated=False),
    },
    "GraphProto": {1: _Child("NodeProto"), 5: _Child("TensorProto"), 15: _Child("SparseTensor")},
    "FunctionProto": {7: _Child("NodeProto"), 11: _Child("AttributeProto")},
    "NodeProto": {5: _Child("AttributeProto")},
    "AttributeProto": {
        5: _Child("TensorProto", repeated=False),
        6: _Child("GraphProto", repeated=False),
        10: _Child("TensorProto"),
        11: _Child("GraphProto"),
        22: _Child("SparseTensor", repeated=False),
        23: _Child("SparseTensor"),
    },
    "SparseTensor": {
        1: _Child("TensorProto", repeated=False),
        2: _Child("TensorProto", repeated=False),
    },
}
_NAME, _EXTERNAL_DATA = 8, 13
_KEY, _VALUE = 1, 2


def external_references(model_path: Path) -> tuple[ExternalReference, ...]:
    """Return every reference of a graph to a file beside it, in the order of the file.

    Raises:
        PackError: the file is not a graph, or a reference cannot be parsed.
    """
    with paths.open_file(model_path) as stream:
        found = paths.size(stream)
        if not found:
            raise PackError(f"{model_path} is empty; expected an ONNX graph.")
        if found > MAX_GRAPH_BYTES:
            raise PackError(
                f"{model_path} is {found} bytes long, expected at most {MAX_GRAPH_BYTES}: protocol "
                "buffers cannot be longer."
            )
        # Not closed explicitly: an error's traceback may still hold a view of it.
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return find_references(mapped)
    except PackError as exc:
        raise PackError(f"{model_path} is not a valid graph: {exc.message}") from exc


def find_references(graph: mmap.mmap | bytes) -> tuple[ExternalReference, ...]:
    """Return every reference in the bytes of a graph, in their order.

    Raises:
        PackError: the bytes are not a graph, or a reference cannot be parsed.
    """
    found = _glance(memoryview(graph))
    if found is not None:
        return found
    if graph.find(b"location") < 0:
        return ()
    return tuple(_Walk(MAX_FIELDS).references(memoryview(graph)))


def _glance(graph: memoryview) -> tuple[ExternalReference, ...] | None:
    """Return the references if reading fields is faster than searching all bytes, else None.

    Most bytes of a graph are weights.
    """
    try:
        return tuple(_Walk(min(MAX_FIELDS, len(graph) // BYTES_A_FIELD)).references(graph))
    except PackError:
        return None  # too many fields, or a malformed graph: the search reports it


def check_external(model_path: Path) -> tuple[ExternalReference, ...]:
    """Check that a graph refers only to regular files in its own folder, within their size.

    Raises:
        PackError: a reference leads out of the folder, or past the end of its file.
    """
    references = external_references(model_path)
    sizes: dict[str, int] = {}
    try:
        for reference in references:
            if reference.location not in sizes:
                sizes[reference.location] = _size(model_path.parent, reference)
            check_within(reference, sizes[reference.location])
    except PackError as exc:
        raise PackError(f"{model_path}: {exc.message}") from exc
    return references


def check_within(reference: ExternalReference, size: int) -> None:
    """Check that a tensor's elements lie within a file of this size.

    Raises:
        PackError: they do not.
    """
    end = reference.offset + (reference.length or 0)
    if end > size:
        place = f"byte {end} of {reference.location}"
        raise _refused(reference, f"it ends at {place}, which has {size} bytes.")


def _size(folder: Path, reference: ExternalReference) -> int:
    try:
        with paths.open_inside(folder, reference.location, alone=True) as stream:
            return paths.size(stream)
    except PackError as exc:
        raise _refused(reference, exc.message) from exc


def _refused(reference: ExternalReference, reason: str) -> PackError:
    return PackError(
        f"tensor {reference.tensor[:200]!r} has external data that is refused: {reason}"
    )


class _Walk:
    """One pass over a model's messages, with a limit on the number of fields."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._found = 0

    def references(self, model: memoryview) -> Iterator[ExternalReference]:
        yield from self._message("ModelProto", model, 0)

    def _message(self, kind: str, data: memoryview, depth: int) -> Iterator[ExternalReference]:
        if kind == "TensorProto":
            yield from self._tensor(data, depth)
            return
        children, seen = _CHILDREN[kind], set[int]()
        for number, wire_type, value in self._fields(data, depth):
            child = children.get(number)
            if child is None:
                continue
            if wire_type != wire.LENGTH or isinstance(value, int):
                raise PackError(f"field {number} of a {kind} is not a message.")
            # A reader merges a message that is written twice, which hides the content of each part.
            if not child.repeated and number in seen:
                raise PackError(f"field {number} of a {kind} is written twice.")
            seen.add(number)
            yield from self._message(child.kind, value, depth + 1)

    def _tensor(self, data: memoryview, depth: int) -> Iterator[ExternalReference]:
        name, entries = "", dict[str, str]()
        for number, wire_type, value in self._fields(data, depth):
            if wire_type != wire.LENGTH or isinstance(value, int):
                continue
            if number == _NAME:
                name = _text(value)
            elif number == _EXTERNAL_DATA:
                key, text = self._entry(value, depth + 1)
                if key in entries:
                    raise PackError(f"tensor {name[:200]!r} names its {key[:20]!r} twice.")
                entries[key] = text
        if entries:
            self._found += 1
            if self._found > MAX_REFERENCES:
                raise PackError(f"it has more than {MAX_REFERENCES} external tensors.")
            yield _reference(name, entries)

    def _entry(self, data: memoryview, depth: int) -> tuple[str, str]:
        found = {_KEY: "", _VALUE: ""}
        for number, wire_type, value in self._fields(data, depth):
            if number in found and wire_type == wire.LENGTH and not isinstance(value, int):
                found[number] = _text(value)
        return found[_KEY], found[_VALUE]

    def _fields(self, data: memoryview, depth: int) -> Iterator[wire.Field]:
        for field in wire.read_fields(data, depth=depth):
            self._left -= 1
            if self._left < 0:
                raise PackError(f"it has more than {self._most} fields.")
            yield field


def _reference(name: str, entries: dict[str, str]) -> ExternalReference:
    length, location = entries.get("length"), entries.get("location", "")
    if _IN_MEMORY in location:
        raise PackError(f"tensor {name[:200]!r} points into the process's memory.")
    return ExternalReference(
        tensor=name,
        location=location,
        offset=_number(entries.get("offset", "0"), "offset"),
        length=None if length is None else _number(length, "length"),
    )


def _number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise PackError(f"the {what} of external data is {text[:40]!r}, expected a number.")
    return int(text)


def _text(value: memoryview) -> str:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError as exc:
        raise PackError(f"a name is not UTF-8: {exc.reason}.") from exc
