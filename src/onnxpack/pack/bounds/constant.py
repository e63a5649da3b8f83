"""What is known of a value that a graph computes without its inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Final

from onnxpack.errors import PackError
from onnxpack.pack import wire
from onnxpack.pack.tensor import decode_tensor

if TYPE_CHECKING:
    from onnxpack.signature import Array

MAX_VALUES = 1024
"""Most elements of a constant whose values are read: shapes and sizes have a few."""
_MAX_BYTES = 2**16
"""Most bytes of a tensor whose values are read."""
_STRING = 8
_SIZES = {2: 1, 3: 1, 4: 2, 5: 2, 9: 1, 10: 2, 16: 2, 1: 4, 6: 4, 12: 4, _STRING: 64, 15: 16}
"""Bytes of an element in memory, by ONNX's number of the data type; all others take 8 or less."""
_TEXT, _ITEM, _DIMS, _DTYPE, _EXTERNAL, _NAME = 6, 8, 1, 2, 13, 8
RANK: Final = 16
"""More axes than a value has, if its rank is unknown."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant: its shape, and its values if they are few.

    Attributes:
        shape: the shape; if it is not exact, one of at least as many elements.
        item: bytes of an element.
        values: the elements, in this shape; None if they are many or unknown.
        exact: whether this is the shape.
        sized: whether the values depend on the sizes of the graph's inputs, which the user gives.
    """

    shape: Shape
    item: int = 8
    values: Array | None = None
    exact: bool = True
    sized: bool = False

    @property
    def elements(self) -> int:
        """The number of elements, or a larger one."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """The memory that the elements take, in bytes."""
        return self.elements * self.item

    @property
    def flat(self) -> Constant:
        """The same elements in another shape, which is not known."""
        return replace(self, shape=(self.elements,), values=None, exact=False)


OMITTED = Constant((0,))
"""Stands for an optional input that a node does not take."""


def of_array(values: Array, *, sized: bool = False) -> Constant:
    """Return a constant of these values."""
    return Constant(values.shape, max(1, values.itemsize), values, sized=sized)


def of_tensor(data: memoryview) -> tuple[bytes, Constant]:
    """Return the name and the constant of a serialised ``TensorProto``.

    Raises:
        PackError: the bytes are not a tensor.
    """
    name, dims, kind, external = b"", list[int](), 0, False
    for number, _, value in wire.read_fields(data):
        if number == _DIMS:
            dims += [value] if isinstance(value, int) else _unpack(value)
        elif number == _DTYPE and isinstance(value, int):
            kind = value
        elif number == _NAME and not isinstance(value, int):
            name = bytes(value)
        external |= number == _EXTERNAL
    shape = tuple(wire.to_int64(size) for size in dims)
    if min(shape, default=0) < 0:
        raise PackError(f"tensor {name[:200]!r} has the negative size {min(shape)}.")
    values = None
    if not external and len(data) <= _MAX_BYTES and prod(shape) <= MAX_VALUES:
        values = _values(data)
    return name, Constant(shape, _SIZES.get(kind, _ITEM), values)


def of_sparse(data: memoryview) -> tuple[bytes, Constant]:
    """Return the name and the constant of a serialised ``SparseTensorProto``, written out.

    Raises:
        PackError: the bytes are not a sparse tensor.
    """
    name, item, dims = b"", _ITEM, list[int]()
    for number, _, value in wire.read_fields(data):
        if number == 3:
            dims += [value] if isinstance(value, int) else _unpack(value)
        elif number == 1 and not isinstance(value, int):
            name, values = of_tensor(value)
            item = values.item
    return name, Constant(tuple(max(0, wire.to_int64(size)) for size in dims), item)


def _unpack(data: memoryview) -> list[int]:
    numbers, position = list[int](), 0
    while position < len(data):
        number, position = wire.read_varint(data, position)
        numbers.append(number)
    return numbers


def _values(data: memoryview) -> Array | None:
    try:
        return decode_tensor(bytes(data))[1]
    except PackError:
        return None  # a type that numpy lacks, or a fault that the library reports
