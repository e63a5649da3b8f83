"""ONNX forms of operators that the TorchScript exporter lacks or writes incorrectly.

A traced model is decomposed beforehand (see ``decompose/``). A scripted model is not. For it, and
for calls between functions of torch, these forms replace those of torch 2.14.1.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.onnx import symbolic_helper
from torch.onnx._internal.torchscript_exporter import registration
from torch.onnx.symbolic_helper import parse_args

from onnxpack.errors import ExportError
from onnxpack.exporters.replaced import existing, replaced_item
from onnxpack.exporters.splice import AXES_ARE_INPUTS
from onnxpack.exporters.torch.rewrite.indexing import gather_at, to_places
from onnxpack.exporters.torch.rewrite.one_hot import scripted_one_hot

SCATTERS_ADD = 16
"""The first opset in which scattered values can be added up."""
POWERS = (1.0, 2.0, 4.0, 8.0, 16.0)
SOFTPLUS_THRESHOLD = 20.0
FLOAT, DOUBLE, INT64 = 1, 11, 7
"""ONNX's numbers of dtypes."""


@contextmanager
def forms_known(opset: int) -> Iterator[None]:
    """Replace the exporter's forms by those of :data:`FORMS`."""
    with ExitStack() as stack:
        for operator, form in FORMS.items():
            for forms in _registered(operator):
                stack.enter_context(replaced_item(forms, opset, form))
        yield


def _registered(operator: str) -> tuple[dict[int, Any], dict[int, Any]]:
    """Return the custom and the effective ONNX forms of an operator, by opset.

    ``unregister_custom_op_symbolic`` would drop a form that the user registered for the same
    operator and opset, and no public function reads it first.

    Raises:
        ExportError: PyTorch keeps the forms in another way than 2.9 to 2.14 do.
    """
    group = registration.registry.get_function_group(operator)
    functions = existing(group, "_functions")
    return existing(functions, "_overrides"), existing(functions, "_merged")


@parse_args("v", "t", "is", "i", "v")
def _norm(
    graph: Any, x: Any, power: Any, dim: Any = None, keepdim: int = 0, dtype: Any = None
) -> Any:
    """Write ``x.norm()`` without a dim, for which the exporter has no form."""
    if power not in (1, 2) or dtype is not None:
        raise ExportError(f"ONNX has no operator for a norm of power {power} as {dtype}")
    operator = f"ReduceL{int(power)}"
    if dim is None:
        return graph.op(operator, x, keepdims_i=0)
    if graph.opset < AXES_ARE_INPUTS:
        return graph.op(operator, x, axes_i=dim, keepdims_i=keepdim)
    return graph.op(operator, x, _constant(graph, dim), keepdims_i=keepdim)


@parse_args("v", "i", "v", "v", "t")
def _index_add(graph: Any, x: Any, dim: int, index: Any, source: Any, alpha: Any = None) -> Any:
    """Write ``index_add``: the exporter's form keeps only one of several values for one place."""
    if dim != 0 or alpha not in (None, 1) or graph.opset < SCATTERS_ADD:
        raise ExportError(f"ONNX has no operator for index_add along axis {dim} times {alpha}")
    places = graph.op("Unsqueeze", index, _constant(graph, [-1]))
    return graph.op("ScatterND", x, places, source, reduction_s="add")


def _index(graph: Any, x: Any, indices: Any) -> Any:
    """Write ``x[i, j]``: the exporter's form takes an index of -1 from another row."""
    return gather_at(graph, x, indices, plain=_plain(11).index)


def _index_put(graph: Any, x: Any, indices: Any, values: Any, accumulate: Any = None) -> Any:
    """Write ``index_put(accumulate=True)``: the exporter's form adds only one value to a place."""
    adds = accumulate is not None and symbolic_helper._parse_arg(accumulate, "b")  # noqa: SLF001
    if not adds:
        return _plain(11).index_put(graph, x, indices, values, accumulate)
    given = symbolic_helper._unpack_list(indices)  # noqa: SLF001
    plain = not any(index.node().mustBeNone() or _is_bool(index) for index in given)
    if not plain or graph.opset < SCATTERS_ADD:
        raise ExportError("index_put_(accumulate=True) with slices or masks has no ONNX form here")
    shape, places = to_places(graph, given)
    ends = (_constant(graph, [end]) for end in (len(given), torch.iinfo(torch.int64).max))
    rest = graph.op("Slice", graph.op("Shape", x), *ends)
    whole = graph.op("Expand", values, graph.op("Concat", shape, rest, axis_i=0))
    return graph.op("ScatterND", x, places, whole, reduction_s="add")


def _floor_divide(graph: Any, x: Any, other: Any) -> Any:
    """Write ``//``: the exporter's form truncates."""
    if not (_is_float(x) or _is_float(other)):
        return _plain(10)._floor_divide(graph, x, other)  # noqa: SLF001
    x, other = _floats(graph, x, other)
    left, below = _left(graph, x, other)
    quotient = graph.op("Round", graph.op("Div", graph.op("Sub", x, left), other))
    lower = graph.op("Sub", quotient, _number(graph, 1, x))
    whole = graph.op("Where", below, lower, quotient)
    by_zero = graph.op("Equal", other, _number(graph, 0, x))
    return graph.op("Where", by_zero, graph.op("Div", x, other), whole)


def _div(graph: Any, x: Any, other: Any, *modes: Any) -> Any:
    """Write ``torch.div`` with rounding: the exporter's form rounds the quotient, and overflows."""
    read: Any = symbolic_helper._get_const  # noqa: SLF001
    mode = read(modes[0], "s", "mode") if modes else None
    if mode == "floor":
        return _floor_divide(graph, x, other)
    if mode != "trunc" or not (_is_float(x) or _is_float(other)):
        return _plain(10).div(graph, x, other, *modes)
    quotient = graph.op("Div", *_floats(graph, x, other))
    below = graph.op("Less", quotient, _number(graph, 0, quotient))
    return graph.op("Where", below, graph.op("Ceil", quotient), graph.op("Floor", quotient))


def _remainder(graph: Any, x: Any, other: Any) -> Any:
    """Write ``%`` of floats: the exporter's form subtracts a rounded multiple."""
    if not (_is_float(x) or _is_float(other)):
        return graph.op("Mod", x, other, fmod_i=0)
    x, other = _floats(graph, x, other)
    left, below = _left(graph, x, other)
    return graph.op("Where", below, graph.op("Add", left, other), left)


def _left(graph: Any, x: Any, other: Any) -> tuple[Any, Any]:
    """Return the remainder of a truncated division, and whether its sign is wrong."""
    left, zero = graph.op("Mod", x, other, fmod_i=1), _number(graph, 0, x)
    signs = graph.op("Xor", graph.op("Less", left, zero), graph.op("Less", other, zero))
    some = graph.op("Not", graph.op("Equal", left, zero))
    return left, graph.op("And", some, signs)


@parse_args("v", "is", "is")
def _roll(graph: Any, x: Any, shifts: Sequence[int], dims: Sequence[int]) -> Any:
    """Write ``torch.roll``: the exporter's slices overlap if a shift is larger than the axis."""
    if len(shifts) != len(dims):
        raise ExportError("torch.roll without dims has no ONNX form here: name the dims")
    for shift, axis in zip(shifts, dims, strict=True):
        size = graph.op("Gather", graph.op("Shape", x), _constant(graph, axis), axis_i=0)
        places = graph.op("Range", _constant(graph, 0), size, _constant(graph, 1))
        source = graph.op("Mod", graph.op("Sub", places, _constant(graph, shift)), size)
        x = graph.op("Gather", x, source, axis_i=axis)
    return x


def _linspace(graph: Any, start: Any, end: Any, steps: Any, dtype: Any, *_: Any) -> Any:
    """Write ``torch.linspace``: the exporter's form divides by zero for one step."""
    read: Any = symbolic_helper._get_const  # noqa: SLF001
    kind = read(dtype, "i", "dtype")  # 6 is torch.float32
    if kind not in (None, 6):
        raise ExportError("torch.linspace with a dtype other than float32 has no ONNX form here")
    first, last = (graph.op("Cast", value, to_i=FLOAT) for value in (start, end))
    count = graph.op("Cast", steps, to_i=INT64)
    one = _constant(graph, 1)
    places = graph.op("Range", _constant(graph, 0), count, one)
    most = graph.op("Sub", count, one)
    gaps = graph.op("Cast", graph.op("Max", most, one), to_i=FLOAT)
    gap = graph.op("Div", graph.op("Sub", last, first), gaps)
    early = graph.op("Add", first, graph.op("Mul", gap, graph.op("Cast", places, to_i=FLOAT)))
    rest = graph.op("Cast", graph.op("Sub", most, places), to_i=FLOAT)
    late = graph.op("Sub", last, graph.op("Mul", gap, rest))
    half = graph.op("Less", graph.op("Mul", places, _constant(graph, 2)), most)
    single = graph.op("Equal", count, one)
    return graph.op("Where", graph.op("Or", half, single), early, late)


@parse_args("v", "f", "f")
def _softplus(graph: Any, x: Any, beta: float, threshold: float) -> Any:
    """Write ``softplus``, which returns its input above the threshold; the exporter ignores it.

    Above the default of 20 both agree in float32: ``log(1 + exp(-20))`` is less than a rounding.
    """
    scaled = x if beta == 1 else graph.op("Mul", x, _number(graph, beta, x))
    curve = graph.op("Softplus", scaled)
    curve = curve if beta == 1 else graph.op("Div", curve, _number(graph, beta, x))
    if threshold >= SOFTPLUS_THRESHOLD:
        return curve
    return graph.op("Where", graph.op("Greater", scaled, _number(graph, threshold, x)), x, curve)


def _any(graph: Any, x: Any, *args: Any) -> Any:
    """Write ``any`` of floats: the exporter casts to int64 first, so that 0.5 counts as false."""
    return _plain(9)._any(graph, _truth(graph, x), *args)  # noqa: SLF001


def _all(graph: Any, x: Any, *args: Any) -> Any:
    """Write ``all`` of floats; see :func:`_any`."""
    return _plain(9)._all(graph, _truth(graph, x), *args)  # noqa: SLF001


def _truth(graph: Any, x: Any) -> Any:
    return graph.op("Not", graph.op("Equal", x, _number(graph, 0, x))) if _is_float(x) else x


def _nearest(name: str, rank: int) -> Any:
    """Return a form of ``upsample_nearest`` that is written only if Resize agrees."""

    def form(graph: Any, x: Any, size: Any, *scales: Any) -> Any:
        _refuse_other_neighbours(scales)
        plain = _plain(11)._interpolate(name, rank, "nearest")  # noqa: SLF001
        return plain(graph, x, size, *scales)

    return form


def _interpolate(graph: Any, x: Any, size: Any, scale: Any, mode: Any, *rest: Any) -> Any:
    """Write ``F.interpolate`` of a scripted model; see :func:`_nearest`."""
    if symbolic_helper._maybe_get_const(mode, "s") == "nearest":  # noqa: SLF001
        _refuse_other_neighbours([scale])
    # The exporter gives its own name to what scripting calls.
    return getattr(_plain(11), "__interpolate")(graph, x, size, scale, mode, *rest)


def _refuse_other_neighbours(scales: Sequence[Any]) -> None:
    known = [factor for scale in scales for factor in _factors(scale)]
    if not known or not all(factor in POWERS for factor in known):
        raise ExportError(
            "ONNX Runtime's nearest Resize takes different neighbours than PyTorch, except "
            "where a scale_factor is a power of two; a scripted model cannot be rewritten"
        )


def _plain(opset: int) -> Any:
    """Return the module of the exporter's own forms, which moved in torch 2.9.

    It raises ImportError if the module is not there.
    """
    place = "torch.onnx._internal.torchscript_exporter"
    return importlib.import_module(f"{place}.symbolic_opset{opset}")


def _factors(scale: Any) -> list[Any]:
    if symbolic_helper._is_packed_list(scale):  # noqa: SLF001
        return [_factor(each) for each in symbolic_helper._unpack_list(scale)]  # noqa: SLF001
    factor = _factor(scale)
    return list(factor) if isinstance(factor, list | tuple) else [factor]


def _factor(value: Any) -> Any:
    node = value.node()
    return symbolic_helper._node_get(node, "value") if node.hasAttribute("value") else None  # noqa: SLF001


def _is_bool(value: Any) -> bool:
    return bool(symbolic_helper._is_bool(value))  # noqa: SLF001


def _is_float(value: Any) -> bool:
    return bool(symbolic_helper._is_fp(value))  # noqa: SLF001


def _floats(graph: Any, *values: Any) -> Iterator[Any]:
    """Yield the values in the widest dtype of those that are tensors of floats."""
    known = [str(value.type()) for value in values if _is_float(value)]
    kind = DOUBLE if any("Double" in each for each in known) and len(values) == len(known) else None
    first = next(value for value in values if _is_float(value))
    for value in values:
        if kind is None:
            yield value if value is first else graph.op("CastLike", value, first)
        else:
            yield graph.op("Cast", value, to_i=kind)


def _number(graph: Any, value: float, like: Any) -> Any:
    return graph.op("CastLike", graph.op("Constant", value_t=torch.tensor(float(value))), like)


def _constant(graph: Any, value: int | list[int]) -> Any:
    return graph.op("Constant", value_t=torch.tensor(value))


FORMS = {
    "aten::__interpolate": _interpolate,
    "aten::all": _all,
    "aten::any": _any,
    "aten::div": _div,
    "aten::floor_divide": _floor_divide,
    "aten::floordiv": _floor_divide,
    "aten::index": _index,
    "aten::index_add": _index_add,
    "aten::index_put": _index_put,
    "aten::linspace": _linspace,
    "aten::norm": _norm,
    "aten::one_hot": scripted_one_hot,
    "aten::remainder": _remainder,
    "aten::roll": _roll,
    "aten::softplus": _softplus,
    **{
        f"aten::upsample_nearest{axes}d": _nearest(f"upsample_nearest{axes}d", axes + 2)
        for axes in (1, 2, 3)
    },
}
"""The replacement form of each operator."""
