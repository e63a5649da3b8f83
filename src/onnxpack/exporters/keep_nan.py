"""Follow operators that lose NaN by operators that restore it.

ONNX does not define the result of these operators for NaN, and onnxruntime 1.32 on CPU skips it:
the largest of ``[1, NaN, 3]`` is 3, or NaN if NaN comes first. JAX, PyTorch, TensorFlow and numpy
all return NaN, and for ``argmax`` and ``argmin`` the index of the first NaN. onnxruntime's ``Max``,
``Min``, ``Clip``, ``Relu`` and ``TopK`` keep NaN, so they are not changed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from onnxpack.exporters.dtypes import dtype_of, first_input, standard_nodes
from onnxpack.exporters.splice import AXES_ARE_INPUTS, graph_of, name_new
from onnxpack.parity.beside import save_beside
from onnxpack.signature import Array

RECURRENT = ("GRU", "LSTM", "RNN")
"""Recurrent operators: ONNX Runtime 1.32 clips the inputs of their gates, and NaN becomes a
bound."""
UNMENDED = (*RECURRENT, "GridSample", "Unique")
"""Operators that may lose NaN and are not mended: GridSample takes a pixel for a place of NaN,
and Unique counts NaN otherwise than PyTorch, for which every NaN differs from every other."""
SCATTERS = ("ScatterElements", "ScatterND")
EXTREMES = ("max", "min")
LENGTHS = 4
"""Index of the input with the lengths of rows in GRU, LSTM and RNN."""


def loses_nan(graph: Path, *, saturating: bool = False) -> bool:
    """Return whether an operator of the graph loses NaN; see :func:`keep_nan`."""
    return bool(_losing(ir.load(graph), saturating))


def operators_losing_nan(graph: Path) -> list[str]:
    """Return the names of operators that lose NaN, including those :func:`keep_nan` cannot fix."""
    model = ir.load(graph)
    unmended = [
        node
        for node in standard_nodes(model, UNMENDED)
        if node.op_type != "Unique" or _is_floating(first_input(node))
    ]
    losing = [*_losing(model, saturating=False), *unmended]
    return sorted({node.op_type for node in losing})


def keep_nan(source: Path, to: Path, *, saturating: bool = False) -> None:
    """Write the graph at ``source`` to ``to`` with NaN kept.

    Args:
        saturating: whether casts to integers are changed too, for JAX.
    """
    model = ir.load(source)
    opset = model.opset_imports.get("", AXES_ARE_INPUTS)
    for node in _losing(model, saturating):
        _MENDED[node.op_type](node, opset)
    save_beside(model, to)


def keep_nan_in_scatters(graph: Path) -> None:
    """Change a graph so that its scatters of the largest or smallest value keep NaN."""
    model = ir.load(graph)
    scatters = [node for node in _losing(model, saturating=False) if node.op_type in SCATTERS]
    if not scatters:
        return
    ir.external_data.load_to_model(model)  # the files that it maps are written again
    for node in scatters:
        _scattered(node, AXES_ARE_INPUTS)
    save_beside(model, graph)


def _losing(model: ir.Model, saturating: bool) -> list[ir.Node]:
    return [
        node
        for node in standard_nodes(model, _MENDED)
        if (node.op_type != "Cast" or (saturating and _target(node) in _COMPUTED))
        and (node.op_type not in RECURRENT or _is_plain(node, model))
        and (node.op_type not in SCATTERS or node.attributes.get_string("reduction") in EXTREMES)
        and _is_floating(first_input(node))
    ]


def _is_plain(node: ir.Node, model: ir.Model) -> bool:
    """Return whether all steps of all rows are read, in the usual layout."""
    lengths = node.inputs[LENGTHS] if len(node.inputs) > LENGTHS else None
    batch_first = node.attributes.get_int("layout", 0)
    opset = model.opset_imports.get("", 0)
    return lengths is None and not batch_first and opset >= AXES_ARE_INPUTS


def _is_floating(value: ir.Value) -> bool:
    dtype = dtype_of(value)
    return dtype is not None and dtype.is_floating_point()


def _reduction(node: ir.Node, _opset: int) -> None:
    """Restore NaN if any reduced element, or any in the window, is NaN."""
    number = _nan_as_one(node)
    kind = node.op_type.replace("Min", "Max")
    inputs, attributes = [number[-1].outputs[0], *node.inputs[1:]], node.attributes.values()
    among = ir.Node("", kind, inputs, attributes)
    any_nan = _is_one(among)
    _replace(node, [*number, among, *any_nan], any_nan[-1], _nan_like(node))


def _scattered(node: ir.Node, _opset: int) -> None:
    """Restore NaN where the data or a scattered update is NaN."""
    data, places, updates = node.inputs[:3]
    found = [ir.node("IsNaN", [each]) for each in (data, updates)]
    numbers = [ir.node("Cast", [each.outputs[0]], {"to": ir.DataType.FLOAT}) for each in found]
    attributes: dict[str, Any] = {"reduction": "max"}
    if node.op_type == "ScatterElements":
        attributes |= {"axis": node.attributes.get_int("axis", 0)}
    inputs = [numbers[0].outputs[0], places, numbers[1].outputs[0]]
    among = ir.node(node.op_type, inputs, attributes)
    any_nan = _is_one(among)
    _replace(node, [*found, *numbers, among, *any_nan], any_nan[-1], _nan_like(node))


def _elementwise(node: ir.Node, _opset: int) -> None:
    """Restore NaN where the element is NaN."""
    found = ir.node("IsNaN", [first_input(node)])
    _replace(node, [found], found, _nan_like(node))


def _place(node: ir.Node, opset: int) -> None:
    """Give the index of the first NaN, if there is one."""
    number = _nan_as_one(node)
    inputs, attributes = [number[-1].outputs[0]], node.attributes.values()
    first = ir.Node("", "ArgMax", inputs, attributes)
    axis = node.attributes.get_int("axis", 0)
    keep = {"keepdims": node.attributes.get_int("keepdims", 1)}
    if opset >= AXES_ARE_INPUTS:
        axes = _constant(np.array([axis], np.int64))
        among = ir.node("ReduceMax", [inputs[0], axes.outputs[0]], keep)
        before = [axes]
    else:
        among = ir.node("ReduceMax", inputs, {**keep, "axes": [axis]})
        before = []
    any_nan = _is_one(among)
    _replace(node, [*number, *before, among, *any_nan, first], any_nan[-1], first)


def _recurrent(node: ir.Node, _opset: int) -> None:
    """Restore NaN from the first step with a NaN input on, in the direction of reading.

    Every gate sums over the whole input of a step, and every later step over all that came before.
    """
    found = ir.node("IsNaN", [first_input(node)])
    number = ir.node("Cast", [found.outputs[0]], {"to": ir.DataType.FLOAT})
    features = _constant(np.array([2], np.int64))
    steps = ir.node("ReduceMax", [number.outputs[0], features.outputs[0]])  # [steps, batch, 1]
    time, half = _constant(np.array(0, np.int64)), _constant(np.array(0.5, np.float32))
    made = [found, number, features, steps, time, half]
    direction = node.attributes.get_string("direction", "forward")
    read = {"forward": (0,), "reverse": (1,), "bidirectional": (0, 1)}[direction]
    so_far = [
        ir.node("CumSum", [steps.outputs[0], time.outputs[0]], {"reverse": back}) for back in read
    ]
    at = _constant(np.array([1], np.int64))
    placed = [ir.node("Unsqueeze", [each.outputs[0], at.outputs[0]]) for each in so_far]
    joined = ir.node("Concat", [each.outputs[0] for each in placed], {"axis": 1})
    lost = ir.node("Greater", [joined.outputs[0], half.outputs[0]])  # [steps, directions, batch, 1]
    first = _constant(np.array([0], np.int64))
    anywhere = ir.node("ReduceMax", [steps.outputs[0], first.outputs[0]], {"keepdims": 1})
    lost_at_end = ir.node("Greater", [anywhere.outputs[0], half.outputs[0]])  # [1, batch, 1]
    made += [*so_far, at, *placed, joined, lost, first, anywhere, lost_at_end]
    otherwise = _nan_like(node)
    for place in reversed(range(len(node.outputs))):
        condition = lost_at_end if place else lost
        _replace(node, [], condition, otherwise, place=place, known=True)
    name_new([*made, otherwise], node)
    graph_of(node).insert_after(node, [*made, otherwise])


def _saturated(node: ir.Node, _opset: int) -> None:
    """Cast to integers as XLA does: NaN to 0, numbers out of range to the nearest integer.

    ONNX leaves this open; onnxruntime on x86 gives the smallest integer for all of them.
    """
    x, target = first_input(node), _target(node)
    source, wide = (dtype_of(x) or ir.DataType.FLOAT).numpy(), _COMPUTED[target]
    least, most = np.iinfo(target.numpy()).min, np.iinfo(target.numpy()).max
    with np.errstate(over="ignore"):  # 2**31 is infinite in float16, which holds no such number
        low = _constant(np.array(least, source))
        top = _constant(np.array(2.0 ** int(most).bit_length(), source))
    zero = _constant(np.array(0, source))
    ends = [_constant(np.array(end, wide.numpy())) for end in (least, most)]
    below = ir.node("LessOrEqual", [x, low.outputs[0]])
    above = ir.node("GreaterOrEqual", [x, top.outputs[0]])
    nan = ir.node("IsNaN", [x])
    outside = ir.node("Or", [below.outputs[0], above.outputs[0]])
    unfit = ir.node("Or", [outside.outputs[0], nan.outputs[0]])
    number = ir.node("Where", [unfit.outputs[0], zero.outputs[0], x])
    cast = ir.node("Cast", [number.outputs[0]], {"to": wide})
    floor = ir.node("Where", [below.outputs[0], ends[0].outputs[0], cast.outputs[0]])
    made = [low, top, zero, *ends, below, above, nan, outside, unfit, number, cast, floor]
    whole = ir.node("Where", [above.outputs[0], ends[1].outputs[0], floor.outputs[0]])
    name_new([*made, whole], node)
    graph_of(node).insert_before(node, [*made, whole])
    node.replace_input_with(0, whole.outputs[0])


def _target(node: ir.Node) -> ir.DataType:
    return ir.DataType(node.attributes.get_int("to", 0))


_COMPUTED = {
    **dict.fromkeys(
        (ir.DataType.INT8, ir.DataType.INT16, ir.DataType.UINT8, ir.DataType.UINT16),
        ir.DataType.INT32,
    ),
    ir.DataType.INT32: ir.DataType.INT32,
    ir.DataType.UINT32: ir.DataType.INT64,
    ir.DataType.INT64: ir.DataType.INT64,
}
"""The dtype in which an integer is chosen: onnxruntime's Where lacks kernels for other integers."""


_MENDED: dict[str, Callable[[ir.Node, int], None]] = {
    "ArgMax": _place,
    "ArgMin": _place,
    "Cast": _saturated,
    "GRU": _recurrent,
    "GlobalMaxPool": _reduction,
    "LSTM": _recurrent,
    "MaxPool": _reduction,
    "RNN": _recurrent,
    "ReduceMax": _reduction,
    "ReduceMin": _reduction,
    "ScatterElements": _scattered,
    "ScatterND": _scattered,
    "ThresholdedRelu": _elementwise,
}


def _nan_as_one(node: ir.Node) -> list[ir.Node]:
    """Return 1.0 for NaN, else 0.0: MaxPool and ReduceMax of opset 18 accept no bools."""
    found = ir.node("IsNaN", [first_input(node)])
    return [found, ir.node("Cast", [found.outputs[0]], {"to": ir.DataType.FLOAT})]


def _is_one(number: ir.Node) -> list[ir.Node]:
    """Return whether there was a NaN; a window of only padding gives -inf, which is not 1."""
    half = _constant(np.array(0.5, np.float32))
    return [half, ir.node("Greater", [number.outputs[0], half.outputs[0]])]


def _nan_like(node: ir.Node) -> ir.Node:
    dtype = dtype_of(first_input(node)) or ir.DataType.FLOAT
    return _constant(np.array(np.nan, dtype.numpy()))


def _constant(array: Array) -> ir.Node:
    return ir.node("Constant", [], {"value": ir.tensor(array)})


def _replace(
    node: ir.Node,
    made: list[ir.Node],
    condition: ir.Node,
    otherwise: ir.Node,
    *,
    place: int = 0,
    known: bool = False,
) -> None:
    """Make all users of a node's output take ``otherwise`` where ``condition`` holds.

    Args:
        made: new nodes that come before the choice, ``condition`` among them.
        place: the index of the output.
        known: whether the caller adds ``otherwise`` to the graph itself.
    """
    output = node.outputs[place]
    name, uses = output.name, list(output.uses())
    chosen = ir.node("Where", [condition.outputs[0], otherwise.outputs[0], output])
    result = chosen.outputs[0]
    result.type, result.shape = output.type, output.shape
    output.name = f"{name}_of_numbers"
    result.name = name
    for user, at in uses:
        user.replace_input_with(at, result)
    graph = graph_of(node)
    for at, given in enumerate(graph.outputs):
        if given is output:
            graph.outputs[at] = result
    last = [] if known or otherwise in made else [otherwise]
    name_new([*made, *last, chosen], node)
    graph.insert_after(node, [*made, *last, chosen])
