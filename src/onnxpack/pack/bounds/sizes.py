"""The sizes of what operators make of constants: which operators can grow a value, and how far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil, prod
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from onnxpack.pack.bounds.constant import Constant, Shape
from onnxpack.pack.bounds.evaluate import Attributes, number

if TYPE_CHECKING:
    from onnxpack.signature import Array


class Call(NamedTuple):
    """A node whose inputs are constants."""

    inputs: Sequence[Constant]
    attributes: Attributes


Rule: TypeAlias = Callable[[Call], Constant | None]
"""Returns an output, with at least as many elements as it has; None if the size is unknown."""

_KEPT = [
    "Abs",
    "Ceil",
    "Clip",
    "Cos",
    "CumSum",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "IsInf",
    "IsNaN",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "Neg",
    "Not",
    "QuantizeLinear",
    "Reciprocal",
    "Relu",
    "Round",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Tan",
    "Tanh",
    "Trilu",
]
"""Operators whose output has the shape of the first input."""
_BROADCAST = [
    "Add",
    "And",
    "BitShift",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "PRelu",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
]
_REDUCED = [
    "ArgMax",
    "ArgMin",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
]
_NOT_LARGER = [
    "Compress",
    "Flatten",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Unsqueeze",
]
"""Operators whose output has at most as many elements as the first input."""
_DRAWN = ("RandomNormal", "RandomUniform")


def output_of(operator: str, inputs: Sequence[Constant], attributes: Attributes) -> Constant | None:
    """Return what an operator makes of constants; None if its size is unknown."""
    rule = RULES.get(operator)
    return None if rule is None else rule(Call(inputs, attributes))


def _kept(call: Call) -> Constant:
    return replace(call.inputs[0], values=None)


def _cast(call: Call) -> Constant:
    return replace(call.inputs[0], item=max(8, call.inputs[0].item), values=None)


def _dequantized(call: Call) -> Constant:
    return replace(call.inputs[0], item=4, values=None)


def _not_larger(call: Call) -> Constant:
    return call.inputs[0].flat


def _reduced(call: Call) -> Constant | None:
    found = call.inputs[0]
    if not found.exact:
        return None
    # The sum along an axis of size 0 is 0: (9, 0, 9) becomes (9, 1, 9).
    return Constant((prod(max(1, size) for size in found.shape),), max(8, found.item), exact=False)


def _broadcast(call: Call) -> Constant | None:
    if len(call.inputs) == 1:
        return call.inputs[0]
    item = max(each.item for each in call.inputs)
    if all(each.exact for each in call.inputs):
        shape = broadcast(*(each.shape for each in call.inputs))
        return None if shape is None else Constant(shape, item)
    # In the worst case each has axes of its own.
    return Constant((prod(max(1, each.elements) for each in call.inputs),), item, exact=False)


def broadcast(*shapes: Shape) -> Shape | None:
    """Return the shape that shapes are broadcast to; None if they cannot be."""
    rank = max(map(len, shapes))
    sizes = list[int]()
    for axis in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        other = {size for size in axis if size != 1}
        if len(other) > 1:
            return None
        sizes.append(other.pop() if other else 1)
    return tuple(sizes)


def _transpose(call: Call) -> Constant:
    found = call.inputs[0]
    order = (
        [int(axis) for axis in call.attributes[b"perm"].numbers]
        if b"perm" in call.attributes
        else None
    )
    if not found.exact or order is None or sorted(order) != [*range(len(found.shape))]:
        return found.flat
    return replace(found, shape=tuple(found.shape[axis] for axis in order), values=None)


def _concat(call: Call) -> Constant:
    axis, first = number(call.attributes, b"axis", 0), call.inputs[0].shape
    item = max(each.item for each in call.inputs)
    alike = all(each.exact and len(each.shape) == len(first) for each in call.inputs)
    if not alike or not -len(first) <= axis < len(first):
        return Constant((sum(each.elements for each in call.inputs),), item, exact=False)
    shape = list(first)
    shape[axis] = sum(each.shape[axis] for each in call.inputs)
    return Constant(tuple(shape), item)


def _gather(call: Call) -> Constant:
    table, at = call.inputs[:2]
    axis = number(call.attributes, b"axis", 0)
    if not (table.exact and at.exact and -len(table.shape) <= axis < len(table.shape)):
        return Constant((table.elements * max(1, at.elements),), table.item, exact=False)
    axis %= len(table.shape)
    return Constant(table.shape[:axis] + at.shape + table.shape[axis + 1 :], table.item)


def _constant_of_shape(call: Call) -> Constant | None:
    shape = _whole(call.inputs[0].values)
    return None if shape is None else Constant(shape, 8 if b"value" in call.attributes else 4)


def _expand(call: Call) -> Constant | None:
    target = _whole(call.inputs[1].values)
    if target is None:
        return None
    if call.inputs[0].exact:
        shape = broadcast(call.inputs[0].shape, target)
        return None if shape is None else Constant(shape, call.inputs[0].item)
    return Constant((call.inputs[0].elements * prod(target),), call.inputs[0].item, exact=False)


def _range(call: Call) -> Constant | None:
    bounds = [each.values for each in call.inputs]
    if len(bounds) != 3 or any(each is None or each.size != 1 for each in bounds):
        return None
    start, limit, step = (each.item() for each in bounds if each is not None)
    if not step:
        return None
    return Constant((max(0, ceil((limit - start) / step)),), call.inputs[0].item)


def _tile(call: Call) -> Constant | None:
    repeats = _whole(call.inputs[1].values)
    if repeats is None:
        return None
    if call.inputs[0].exact and len(repeats) == len(call.inputs[0].shape):
        shape = tuple(
            size * times for size, times in zip(call.inputs[0].shape, repeats, strict=True)
        )
        return Constant(shape, call.inputs[0].item)
    return Constant((call.inputs[0].elements * prod(repeats),), call.inputs[0].item, exact=False)


def _pad(call: Call) -> Constant | None:
    given = call.attributes.get(b"pads")
    pads = [int(each) for each in given.numbers] if given else None
    if len(call.inputs) > 1 and call.inputs[1].values is not None:
        pads = [int(each) for each in call.inputs[1].values.reshape(-1)]
    rank = len(call.inputs[0].shape)
    # A fourth input chooses axes.
    if pads is None or not call.inputs[0].exact or len(pads) != 2 * rank or len(call.inputs) > 3:
        return None
    shape = (
        size + pads[axis] + pads[axis + rank] for axis, size in enumerate(call.inputs[0].shape)
    )
    return Constant(tuple(max(0, size) for size in shape), call.inputs[0].item)


def _one_hot(call: Call) -> Constant | None:
    depth = call.inputs[1].values
    if depth is None or depth.size != 1:
        return None
    shape = list(call.inputs[0].shape)
    shape.insert(number(call.attributes, b"axis", -1) % (len(shape) + 1), max(0, int(depth.item())))
    return Constant(tuple(shape), call.inputs[-1].item, exact=call.inputs[0].exact)


def _resize(call: Call) -> Constant | None:
    """Return the size by the last input, which has scales or sizes of each axis."""
    given = call.inputs[-1].values if len(call.inputs) > 1 else None
    factors = (
        list[float](call.attributes[b"scales"].numbers) if b"scales" in call.attributes else None
    )
    if given is not None:
        factors = [float(each) for each in given.reshape(-1)]
    shape = call.inputs[0].shape
    if factors is None or len(factors) != len(shape) or b"axes" in call.attributes:
        return None
    if given is not None and given.dtype.kind == "i":
        return Constant(tuple(max(0, int(size)) for size in factors), call.inputs[0].item)
    sizes = (int(size * factor) for size, factor in zip(shape, factors, strict=True))
    return Constant(
        tuple(max(0, size) for size in sizes), call.inputs[0].item, exact=call.inputs[0].exact
    )


def _drawn(call: Call) -> Constant | None:
    shape = call.attributes.get(b"shape")
    return Constant(tuple(max(0, int(size)) for size in shape.numbers), 4) if shape else None


def _whole(values: Array | None) -> Shape | None:
    """Return a shape that a node is given as values; None if it is unknown or impossible."""
    if values is None or values.dtype.kind not in "iu" or (values.size and values.min() < 0):
        return None
    return tuple(int(size) for size in values.reshape(-1))


RULES: dict[str, Rule] = {
    **dict.fromkeys(_KEPT, _kept),
    **dict.fromkeys(_NOT_LARGER, _not_larger),
    **dict.fromkeys(_REDUCED, _reduced),
    **dict.fromkeys(_BROADCAST, _broadcast),
    **dict.fromkeys(_DRAWN, _drawn),
    "Cast": _cast,
    "CastLike": _cast,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "DequantizeLinear": _dequantized,
    "Expand": _expand,
    "Gather": _gather,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Range": _range,
    "Resize": _resize,
    "Size": lambda _: Constant(()),
    "Tile": _tile,
    "Transpose": _transpose,
    "Upsample": _resize,
}
"""The rule of each operator; what it makes of the values is found elsewhere."""
