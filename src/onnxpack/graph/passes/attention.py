"""Find attention in a graph, and restate its mask in a form that can be fused.

PyTorch's attention, as a graph, gives 0 for a query whose keys are all masked::

    weights = Where(mask, Softmax(Where(mask, scores, -inf)), 0)

``onnxruntime.transformers`` 1.32 looks for a mask that is added, as in older models::

    weights = Softmax(Add(scores, Where(mask, 0, -1e9)))

The two differ only in such a query, for which the second form gives the mean of all values. So the
mask is restated before the fusion, and after it the result is multiplied by 0 for such a query.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from onnxpack.graph.passes.attempt import count_nodes

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

FUSED = ("Attention", "MultiHeadAttention")
_PASSED = ("Cast", "Dropout", "Where")
"""Operators that may be between the weights of attention and the product with the values."""
_MASKED = -1e4
"""A constant below this is taken for a mask; scores are far above it."""
_FLOOR = -1e9
_ZERO_NAME, _FLOOR_NAME = "restated_mask_zero", "restated_mask_floor"
_AXIS = "kept_axis"
_FIRST, _SECOND, _LINE = "lookup_first", "lookup_second", "lookup_line"


def has_attention(model: ModelProto) -> bool:
    """Return whether the graph multiplies with a Softmax, or has attention as one operator."""
    if count_nodes(model, *FUSED):
        return True
    weights: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Softmax" or (node.op_type in _PASSED and weights & set(node.input)):
            weights |= set(node.output)
        if node.op_type == "MatMul" and weights & set(node.input):
            return True
    return False


def find_heads(model: ModelProto) -> tuple[int, int]:
    """Return the number of heads and the hidden size; 0 and 0 if the graph shows neither.

    A projection of ``hidden`` numbers is reshaped to ``[batch, tokens, heads, size]``. The heads
    are often written as -1, which ``onnxruntime.transformers`` 1.32 does not resolve.
    """
    makers = {output: node for node in model.graph.node for output in node.output}
    values = _Constants(model)
    weights = {weight.name: weight.dims for weight in model.graph.initializer}
    found: Counter[tuple[int, int]] = Counter()
    for node in model.graph.node:
        parts = makers.get(node.input[1]) if node.op_type == "Reshape" else None
        add = makers.get(node.input[0])
        if parts is None or parts.op_type != "Concat" or add is None or add.op_type != "Add":
            continue
        size = int(values.get(parts.input[-1]) or 0) if len(parts.input) == 4 else 0
        hidden = next(
            (weights[name][0] for name in add.input if len(weights.get(name, ())) == 1), 0
        )
        if size > 0 and hidden and hidden % size == 0:
            found[hidden // size, hidden] += 1
    return found.most_common(1)[0][0] if found else (0, 0)


def restate_masks(model: ModelProto) -> int:
    """Replace masks that select by masks that are added, and return their number.

    Until :func:`clear_masked` is called, the graph differs where all keys of a query are masked.
    """
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    values = _Constants(model)
    found: list[tuple[NodeProto, NodeProto, NodeProto]] = []
    for last in graph.node:
        first = _first_where(last, makers, values)
        if first is None:
            continue
        softmax = makers[last.input[1]]
        if uses[softmax.output[0]] == 1 and uses[first.output[0]] == 1:
            found.append((first, softmax, last))
    if found:
        values.add(_ZERO_NAME, 0.0)
        values.add(_FLOOR_NAME, _FLOOR)
    for first, softmax, last in found:
        _restate(model, first, softmax, last)
    return len(found)


def flatten_lookups(model: ModelProto) -> None:
    """Look up masks in the flattened mask, where they are looked up by ``x[rows, keys]``.

    ``onnxruntime.transformers`` 1.32 knows the masks of transformers 5 by the Flatten and the two
    Reshapes that PyTorch's exporter writes. Only indices that count from 0 are restated: in the
    flattened mask a negative one is a place of another row.
    """
    graph = model.graph
    makers = {output: node for node in graph.node for output in node.output}
    values = _Constants(model)
    nodes: list[NodeProto] = []
    for node in graph.node:
        columns = _columns(node, makers)
        counts = len(columns) == 2 and all(_counts(name, makers, values) for name in columns)
        nodes += _flat_lookup(node) if counts else [node]
    if len(nodes) > len(graph.node):
        graph.initializer.extend(_axes_of_lookups())
    del graph.node[:]
    graph.node.extend(nodes)


def _flat_lookup(node: NodeProto) -> list[NodeProto]:
    """Return nodes that look up the same places in the flattened data."""
    from onnx import helper

    data, result = node.input[0], node.output[0]
    rows, keys, size, first, place, flat, taken, line, shape = (
        f"{result}_{part}"
        for part in ("rows", "keys", "size", "first", "place", "flat", "taken", "line", "shape")
    )
    return [
        helper.make_node("Gather", [node.input[1], _FIRST], [rows], axis=-1),
        helper.make_node("Gather", [node.input[1], _SECOND], [keys], axis=-1),
        helper.make_node("Shape", [data], [size], start=1, end=2),
        helper.make_node("Mul", [rows, size], [first]),
        helper.make_node("Add", [first, keys], [place]),
        helper.make_node("Flatten", [data], [flat], axis=2),
        helper.make_node("Gather", [flat, place], [taken], axis=0),
        helper.make_node("Reshape", [taken, _LINE], [line]),
        helper.make_node("Shape", [place], [shape]),
        helper.make_node("Reshape", [line, shape], [result]),
    ]


def _axes_of_lookups() -> list[TensorProto]:
    from onnx import TensorProto, helper

    return [
        helper.make_tensor(_FIRST, TensorProto.INT64, [], [0]),
        helper.make_tensor(_SECOND, TensorProto.INT64, [], [1]),
        helper.make_tensor(_LINE, TensorProto.INT64, [1], [-1]),
    ]


def _columns(node: NodeProto, makers: dict[str, NodeProto]) -> list[str]:
    """The indices of each axis of a lookup; none for another node."""
    if node.op_type != "GatherND" or any(
        each.name == "batch_dims" and each.i for each in node.attribute
    ):
        return []
    pairs = makers.get(node.input[1])
    if pairs is None or pairs.op_type != "Concat":
        return []
    return list(pairs.input)


def _counts(name: str, makers: dict[str, NodeProto], values: _Constants) -> bool:
    """Whether an index is a Range that begins at 0, in another shape."""
    node = makers.get(name)
    while node is not None and node.op_type in ("Unsqueeze", "Expand", "Cast", "Identity"):
        node = makers.get(node.input[0])
    return node is not None and node.op_type == "Range" and values.get(node.input[0]) == 0.0


def clear_masked(model: ModelProto) -> None:
    """Multiply each fused attention by 0 in the rows of a batch whose keys are all masked."""
    from onnx import TensorProto, helper

    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        mask = node.input[3] if node.op_type == "Attention" and len(node.input) > 3 else ""
        if not mask:
            continue
        plain, kept = node.output[0], f"{node.output[0]}_kept"
        node.output[0] = f"{plain}_unmasked"
        # [batch, keys] -> [batch, 1, 1]: 1 if any key is not masked.
        nodes += [
            helper.make_node("Cast", [mask], [f"{kept}_float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", [f"{kept}_float", _AXIS], [f"{kept}_any"], keepdims=1),
            helper.make_node("Unsqueeze", [f"{kept}_any", _AXIS], [kept]),
            helper.make_node("Mul", [node.output[0], kept], [plain]),
        ]
    model.graph.initializer.append(helper.make_tensor(_AXIS, TensorProto.INT64, [1], [1]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _first_where(
    last: NodeProto, makers: dict[str, NodeProto], values: _Constants
) -> NodeProto | None:
    """Return the node that masks the scores if ``last`` masks their Softmax in the same way."""
    if last.op_type != "Where" or values.get(last.input[2]) != 0.0:
        return None
    softmax = makers.get(last.input[1])
    if softmax is None or softmax.op_type != "Softmax":
        return None
    first = makers.get(softmax.input[0])
    if first is None or first.op_type != "Where" or first.input[0] != last.input[0]:
        return None
    if not values.is_float32(first.input[2]):  # the mask is restated in float32
        return None
    floor = values.get(first.input[2])
    return first if floor is not None and floor <= _MASKED else None


def _restate(model: ModelProto, first: NodeProto, softmax: NodeProto, last: NodeProto) -> None:
    from onnx import helper

    scores, masked = first.input[1], first.output[0]
    added = f"{masked}_added"
    first.input[1], first.input[2], first.output[0] = _ZERO_NAME, _FLOOR_NAME, added
    add = helper.make_node("Add", [scores, added], [masked], name=f"{first.name}_add")
    nodes = model.graph.node
    nodes.insert(list(nodes).index(first) + 1, add)
    # The product with the values now reads the Softmax itself.
    softmax.output[0] = last.output[0]
    nodes.remove(last)


class _Constants:
    """The single numbers that a graph holds as constants, by name."""

    def __init__(self, model: ModelProto) -> None:
        self._graph = model.graph
        self._tensors: dict[str, Any] = {w.name: w for w in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant":
                value = [a.t for a in node.attribute if a.name == "value"]
                self._tensors |= dict(zip(node.output, value, strict=False))

    def get(self, name: str) -> float | None:
        from onnx import numpy_helper

        tensor = self._tensors.get(name)
        if tensor is None or any(size != 1 for size in tensor.dims):
            return None
        return float(numpy_helper.to_array(tensor).item())

    def is_float32(self, name: str) -> bool:
        from onnx import TensorProto

        return name in self._tensors and self._tensors[name].data_type == TensorProto.FLOAT

    def add(self, name: str, value: float) -> None:
        from onnx import TensorProto, helper

        self._graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
