"""Evaluate the arithmetic on shapes and sizes that exporters write, on few numbers only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from onnxpack.pack.bounds.attributes import Attribute
from onnxpack.pack.bounds.constant import MAX_VALUES

if TYPE_CHECKING:
    from onnxpack.signature import Array

Attributes: TypeAlias = Mapping[bytes, Attribute]


class _Call(NamedTuple):
    """A node whose inputs have few and known values."""

    values: Sequence[Array]
    attributes: Attributes


_Rule: TypeAlias = "Callable[[_Call], Array]"


def evaluate(operator: str, values: Sequence[Array], attributes: Attributes) -> Array | None:
    """Return a node's output; None if the operator is not one of these, or refuses its inputs."""
    rule = RULES.get(operator)
    if rule is None or any(value.dtype.kind not in "biuf" for value in values):
        return None
    if sum(value.size for value in values) > 4 * MAX_VALUES:
        return None
    try:
        # Like ONNX Runtime, integers wrap around.
        with np.errstate(all="ignore"):
            found = np.asarray(rule(_Call(values, attributes)))
    except (ValueError, IndexError, TypeError, OverflowError):
        return None  # ONNX Runtime refuses such a node in its own words
    return found if found.size <= MAX_VALUES else None


def number(attributes: Attributes, name: bytes, default: int) -> int:
    """Return an attribute that is one number."""
    found = attributes.get(name)
    return int(found.numbers[0]) if found is not None and found.numbers else default


def _gather(call: _Call) -> Array:
    return np.take(call.values[0], call.values[1], axis=number(call.attributes, b"axis", 0))


def _concat(call: _Call) -> Array:
    return np.concatenate(call.values, axis=number(call.attributes, b"axis", 0))


def _axes(call: _Call) -> tuple[int, ...] | None:
    if len(call.values) > 1:
        return tuple(int(axis) for axis in call.values[1].reshape(-1))
    found = call.attributes.get(b"axes")
    return None if found is None else tuple(int(axis) for axis in found.numbers)


def _unsqueeze(call: _Call) -> Array:
    return np.expand_dims(call.values[0], _axes(call) or ())


def _squeeze(call: _Call) -> Array:
    return np.squeeze(call.values[0], _axes(call))


def _reshape(call: _Call) -> Array:
    return call.values[0].reshape([int(size) for size in call.values[1]])


def _divide(call: _Call) -> Array:
    one, other = call.values
    if one.dtype.kind == "f":
        return np.asarray(one / other)
    if not other.all():
        raise ValueError("a division by zero")  # ONNX Runtime ends the process
    return np.asarray(np.sign(one) * np.sign(other) * (abs(one) // abs(other)))


def _cast(call: _Call) -> Array:
    kind = {1: "f4", 6: "i4", 7: "i8", 9: "?", 11: "f8"}.get(number(call.attributes, b"to", 0))
    if kind is None:
        raise ValueError("a cast to another type")
    return call.values[0].astype(kind)


def _ufunc(name: str, inputs: int) -> _Rule:
    def apply(call: _Call) -> Array:
        if len(call.values) != inputs:  # numpy would write to one more
            raise ValueError("another number of inputs")
        if prod(np.broadcast_shapes(*(each.shape for each in call.values))) > MAX_VALUES:
            raise ValueError("too many values")
        return np.asarray(getattr(np, name)(*call.values))

    return apply


RULES: dict[str, _Rule] = {
    "Abs": _ufunc("abs", 1),
    "Add": _ufunc("add", 2),
    "Cast": _cast,
    "Ceil": _ufunc("ceil", 1),
    "Concat": _concat,
    "Div": _divide,
    "Equal": _ufunc("equal", 2),
    "Floor": _ufunc("floor", 1),
    "Gather": _gather,
    "Greater": _ufunc("greater", 2),
    "Identity": lambda call: call.values[0],
    "Less": _ufunc("less", 2),
    "Max": _ufunc("maximum", 2),
    "Min": _ufunc("minimum", 2),
    "Mul": _ufunc("multiply", 2),
    "Neg": _ufunc("negative", 1),
    "Not": _ufunc("logical_not", 1),
    "Pow": _ufunc("power", 2),
    "Reshape": _reshape,
    "Sqrt": _ufunc("sqrt", 1),
    "Squeeze": _squeeze,
    "Sub": _ufunc("subtract", 2),
    "Unsqueeze": _unsqueeze,
    "Where": _ufunc("where", 3),
}
