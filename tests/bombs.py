"""Small files whose graphs want much memory or time: what hostile packs hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxpack.pack.wire import write_length

FLOAT, INT64, BOOL, STRING = (
    TensorProto.FLOAT,
    TensorProto.INT64,
    TensorProto.BOOL,
    TensorProto.STRING,
)
OPSET = 17


def model(
    nodes: Iterable[onnx.NodeProto],
    weights: Iterable[onnx.TensorProto] = (),
    *,
    outputs: Iterable[onnx.ValueInfoProto] = (),
    functions: Iterable[onnx.FunctionProto] = (),
    sparse: Iterable[onnx.SparseTensorProto] = (),
    opset: int = OPSET,
    rows: int | str = "n",
) -> bytes:
    """Return a graph from ``x`` to ``y``, with a part that ``x`` does not reach."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"]), *nodes],
        "bomb",
        [helper.make_tensor_value_info("x", FLOAT, [rows, 3])],
        [helper.make_tensor_value_info("y", FLOAT, [rows, 3]), *outputs],
        list(weights),
        sparse_initializer=list(sparse),
    )
    opsets = [helper.make_opsetid("", opset)]
    functions = list(functions)
    if functions:
        opsets.append(helper.make_opsetid("local", 1))
    made = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)
    return made.SerializeToString()


def ints(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def scalar(name: str, value: float, dtype: type = np.int64) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, dtype), name)


def floats(name: str, *values: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.float32), name)


def used(name: str, rank: int = 1, kind: int = FLOAT) -> onnx.ValueInfoProto:
    """Return an output, so that no optimiser drops the node that makes it."""
    return helper.make_tensor_value_info(name, kind, [None] * rank)


def constant_of_shape(size: int = 10**12) -> bytes:
    return model(
        [helper.make_node("ConstantOfShape", ["s"], ["c"], "c")],
        [ints("s", size)],
        outputs=[used("c")],
    )


def expand(size: int = 10**12) -> bytes:
    node = helper.make_node("Expand", ["one", "s"], ["c"], "c")
    return model([node], [ints("s", size), floats("one", 1)], outputs=[used("c")])


def range_(size: int = 10**12) -> bytes:
    node = helper.make_node("Range", ["from", "to", "by"], ["c"], "c")
    weights = [scalar("from", 0), scalar("to", size), scalar("by", 1)]
    return model([node], weights, outputs=[used("c", kind=INT64)])


def tile(size: int = 10**12) -> bytes:
    node = helper.make_node("Tile", ["one", "s"], ["c"], "c")
    return model([node], [ints("s", size), floats("one", 1)], outputs=[used("c")])


def pad(size: int = 10**12) -> bytes:
    node = helper.make_node("Pad", ["one", "s"], ["c"], "c")
    return model([node], [ints("s", 0, size), floats("one", 1)], outputs=[used("c")])


def one_hot(size: int = 10**12) -> bytes:
    node = helper.make_node("OneHot", ["at", "depth", "values"], ["c"], "c")
    weights = [ints("at", 1), scalar("depth", size), floats("values", 0, 1)]
    return model([node], weights, outputs=[used("c", 2)])


def resize() -> bytes:
    node = helper.make_node("Resize", ["image", "", "by"], ["c"], "c", mode="nearest")
    image = numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32), "image")
    return model([node], [image, floats("by", 1, 1, 1e6, 1e6)], outputs=[used("c", 4)])


def upsample() -> bytes:
    node = helper.make_node("Upsample", ["image", "by"], ["c"], "c", mode="nearest")
    image = numpy_helper.from_array(np.ones((1, 1, 2, 2), np.float32), "image")
    weights = [image, floats("by", 1, 1, 1e6, 1e6)]
    return model([node], weights, outputs=[used("c", 4)], opset=9)


def random_normal() -> bytes:
    node = helper.make_node("RandomNormal", [], ["c"], "c", shape=[10**12])
    return model([node], outputs=[used("c")])


def doubled(depth: int = 40, operator: str = "Concat", kind: int = INT64) -> bytes:
    """Return a chain in which each node is twice as long as the one before."""
    nodes = [
        helper.make_node(operator, [f"c{i}", f"c{i}"], [f"c{i + 1}"], f"c{i + 1}", axis=0)
        for i in range(depth)
    ]
    return model(nodes, [ints("c0", 1, 1)], outputs=[used(f"c{depth}", kind=kind)])


def doubled_input(depth: int = 40, size: int | str = 1) -> bytes:
    """Return a doubling of the input, which data propagation takes for a shape."""
    names = ["x", *(f"c{i}" for i in range(depth))]
    nodes = [
        helper.make_node("Concat", [given, given], [made], made, axis=0)
        for given, made in pairwise(names)
    ]
    graph = helper.make_graph(
        nodes, "bomb", [helper.make_tensor_value_info("x", FLOAT, [size])], [used(names[-1])]
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def doubled_shapes(depth: int = 40) -> bytes:
    """Return a doubling of the shape of the input, which only data propagation evaluates."""
    nodes = [helper.make_node("Shape", ["x"], ["c0"])]
    nodes += [
        helper.make_node("Concat", [f"c{i}", f"c{i}"], [f"c{i + 1}"], f"c{i + 1}", axis=0)
        for i in range(depth)
    ]
    nodes.append(helper.make_node("ReduceMax", [f"c{depth}"], ["c"], keepdims=0))
    return model(nodes, outputs=[used("c", 0, INT64)])


def outer_product(side: int = 10**6) -> bytes:
    """Return a sum of a column and a row, 8 MB in the file, whose matrix has 4 TB."""
    zeros = np.zeros(side, np.float32)
    node = helper.make_node("Add", ["row", "column"], ["c"], "c")
    weights = [
        numpy_helper.from_array(zeros[:, None], "column"),
        numpy_helper.from_array(zeros[None, :], "row"),
    ]
    return model([node], weights, outputs=[used("c", 2)])


def padded_convolution() -> bytes:
    node = helper.make_node("Conv", ["image", "w"], ["c"], "c", pads=[10**6] * 4)
    one = np.ones((1, 1, 1, 1), np.float32)
    weights = [numpy_helper.from_array(one, "image"), numpy_helper.from_array(one, "w")]
    return model([node], weights, outputs=[used("c", 4)])


def sparse_initializer(size: int = 2**29) -> bytes:
    weight = helper.make_sparse_tensor(floats("w", 1.0), ints("at", 0), [size])
    node = helper.make_node("Identity", ["w"], ["c"], "c")
    return model([node], sparse=[weight], outputs=[used("c")])


def sparse_constant(size: int = 10**12) -> bytes:
    weight = helper.make_sparse_tensor(floats("w", 1.0), ints("at", 0), [size])
    node = helper.make_node("Constant", [], ["c"], "c", sparse_value=weight)
    return model([node], outputs=[used("c")])


def in_a_branch(size: int = 10**12) -> bytes:
    """Return an If of a constant condition, with the bomb in its branch."""
    shape = helper.make_node("Constant", [], ["s"], value=ints("s", size))
    node = helper.make_node("ConstantOfShape", ["s"], ["b"], "b")
    branch = helper.make_graph([shape, node], "branch", [], [used("b")])
    condition = scalar("true", 1, np.bool_)
    taken = helper.make_node("If", ["true"], ["c"], "c", then_branch=branch, else_branch=branch)
    return model([taken], [condition], outputs=[used("c")])


def computed_shape() -> bytes:
    """Return a shape that constants are multiplied to, and a constant of that shape."""
    nodes = [helper.make_node("Mul", [f"s{i}", f"s{i}"], [f"s{i + 1}"]) for i in range(5)]
    nodes.append(helper.make_node("ConstantOfShape", ["s5"], ["c"], "c"))
    return model(nodes, [ints("s0", 3)], outputs=[used("c")])


def loop(trips: int = 10**12, *, of_input: bool = False) -> bytes:
    """Return a count to ``trips``: of an input that is 0, the graph gives it back."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Add", ["v", "one"], ["w"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("go", BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("on", BOOL, []),
            helper.make_tensor_value_info("w", FLOAT, [1]),
        ],
        [floats("one", 1)],
    )
    count = "many" if of_input else "trips"
    nodes = [
        *(to_integer("trips", "many") if of_input else ()),
        helper.make_node("Loop", [count, "true", "start"], ["c"], "c", body=body),
    ]
    weights = [scalar("trips", trips), scalar("true", 1, np.bool_), floats("start", 0)]
    return model(nodes, weights, outputs=[used("c")])


def to_integer(constant: str, made: str) -> list[onnx.NodeProto]:
    """Return nodes that add a constant to an integer that is 0, whatever ``x`` holds."""
    return [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["integer"], to=INT64),
        helper.make_node("Sub", ["integer", "integer"], ["nothing"]),
        helper.make_node("Add", ["nothing", constant], [made]),
    ]


def of_an_input(size: int = 10**12) -> bytes:
    """Return a constant whose shape is computed of ``x``, though it is always the same."""
    nodes = [*to_integer("s", "t"), helper.make_node("ConstantOfShape", ["t"], ["c"], "c")]
    return model(nodes, [ints("s", size)], outputs=[used("c")])


def nested(depth: int = 1000) -> bytes:
    """Return branches within branches."""
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["b"], value_float=1.0)], "g", [], [used("b", 0)]
    ).SerializeToString()
    for _ in range(depth):
        # By hand: no writer of protocol buffers nests as deep.
        inner = _nest(inner)
    node = _field(1, b"true") + _field(2, b"c") + _field(4, b"If") + _branches(inner)
    return _with_node(node, [scalar("true", 1, np.bool_)])


def _nest(graph: bytes) -> bytes:
    node = _field(1, b"true") + _field(2, b"b") + _field(4, b"If") + _branches(graph)
    return _field(1, node) + _field(2, b"g") + _field(12, used("b", 0).SerializeToString())


def _branches(graph: bytes) -> bytes:
    # One branch is enough to be deep; two would double the file at each level.
    return _field(5, _field(1, b"then_branch") + _field(6, graph) + b"\xa0\x01\x05")


def laughs(depth: int = 30) -> bytes:
    """Return functions, each of which calls the next one twice."""
    opset = [helper.make_opsetid("", OPSET), helper.make_opsetid("local", 1)]
    functions = [
        helper.make_function(
            "local",
            f"f{i}",
            ["a"],
            ["b"],
            [
                helper.make_node(f"f{i + 1}", ["a"], ["m"], domain="local"),
                helper.make_node(f"f{i + 1}", ["m"], ["b"], domain="local"),
            ],
            opset,
        )
        for i in range(depth)
    ]
    last = [helper.make_node("Neg", ["a"], ["b"])]
    functions.append(helper.make_function("local", f"f{depth}", ["a"], ["b"], last, opset))
    node = helper.make_node("f0", ["x"], ["c"], "c", domain="local")
    return model([node], outputs=[used("c", 2)], functions=functions)


def undeclared_weight() -> bytes:
    weight = TensorProto(name="w", data_type=FLOAT, dims=[10**9, 10**9])
    node = helper.make_node("Identity", ["w"], ["c"], "c")
    return model([node], [weight], outputs=[used("c", 2)])


def tiny(field: bytes) -> Callable[..., bytes]:
    """Return a maker of a graph with a field that is repeated until the file is so long."""
    return lambda megabytes=50: model([]) + field * (megabytes * 10**6 // len(field))


def empty_strings(megabytes: int = 50) -> bytes:
    count = megabytes * 10**6 // 2
    tensor = b"\x08" + _varint(count) + b"\x10\x08" + _field(8, b"w") + b"\x32\x00" * count
    return _joined(model([]), _field(7, _field(5, tensor)))


def many_nodes(megabytes: int = 50) -> bytes:
    return _in_graph(_field(1, _field(4, b"A")), megabytes)


def many_empty_nodes(megabytes: int = 50) -> bytes:
    return _in_graph(_field(1, b""), megabytes)


def many_initializers(megabytes: int = 50) -> bytes:
    return _in_graph(_field(5, b""), megabytes)


def many_values(megabytes: int = 50) -> bytes:
    return _in_graph(_field(13, b""), megabytes)


def many_names(megabytes: int = 50) -> bytes:
    """Return one node with millions of inputs without a name."""
    names = _field(1, b"") * (megabytes * 10**6 // 2)
    return _with_node(names + _field(2, b"c") + _field(4, b"Concat"))


def many_attributes(megabytes: int = 50) -> bytes:
    strings = _field(9, b"") * (megabytes * 10**6 // 2)
    return _with_node(
        _field(2, b"c") + _field(4, b"Constant") + _field(5, _field(1, b"a") + strings)
    )


def deep_type(depth: int = 10**5) -> bytes:
    """Return an optional of an optional of an optional …"""
    kind = b"\x0a\x02\x08\x01"
    for _ in range(depth):
        kind = _field(9, _field(1, kind))
    value = _field(1, b"v") + _field(2, kind)
    return _joined(model([]), _field(7, _field(13, value)))


def _in_graph(field: bytes, megabytes: int) -> bytes:
    return _joined(model([]), _field(7, field * (megabytes * 10**6 // len(field))))


def _with_node(node: bytes, weights: Iterable[onnx.TensorProto] = ()) -> bytes:
    return _joined(model([], weights, outputs=[used("c", 0)]), _field(7, _field(1, node)))


def _joined(graph: bytes, more: bytes) -> bytes:
    """Return one model whose graph has the fields of both."""
    made = onnx.ModelProto.FromString(graph)
    inner = made.graph.SerializeToString()
    made.ClearField("graph")
    # The graph's fields are written out, so that field 7 is written once.
    return made.SerializeToString() + _field(7, inner + _content(more))


def _content(field: bytes) -> bytes:
    """Return what a field of a length holds."""
    at = 1
    while field[at] & 0x80:
        at += 1
    return field[at + 1 :]


def _field(number: int, content: bytes) -> bytes:
    return write_length(number, len(content)) + content


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


SMALL: dict[str, Callable[[], bytes]] = {
    "ConstantOfShape": constant_of_shape,
    "ConstantOfShape of 40 GB": lambda: constant_of_shape(10**10),
    "Expand": expand,
    "Range": range_,
    "Tile": tile,
    "Pad": pad,
    "OneHot": one_hot,
    "Resize": resize,
    "Upsample": upsample,
    "RandomNormal": random_normal,
    "Concat that doubles": doubled,
    "Concat that doubles a shape": doubled_shapes,
    "Concat that doubles the input": doubled_input,
    "Concat that doubles an input of any size": lambda: doubled_input(size="n"),
    "Add of a row and a column": outer_product,
    "Conv with large pads": padded_convolution,
    "sparse initializer": sparse_initializer,
    "sparse initializer of 4 TB": lambda: sparse_initializer(10**12),
    "sparse Constant": sparse_constant,
    "branch of an If": in_a_branch,
    "Loop": loop,
    "shape that is computed": computed_shape,
    "nested branches": nested,
    "functions that double": laughs,
    "initializer without data": undeclared_weight,
    "nested types": deep_type,
}
"""Files below 10 MB, most of a few hundred bytes."""

LARGE: dict[str, Callable[..., bytes]] = {
    "nodes": many_nodes,
    "empty nodes": many_empty_nodes,
    "initializers": many_initializers,
    "values": many_values,
    "names of one node": many_names,
    "strings of an attribute": many_attributes,
    "strings of a tensor": empty_strings,
    "metadata": tiny(_field(14, b"")),
    "opsets": tiny(_field(8, b"")),
    "functions": tiny(_field(25, b"")),
}
"""Files of 50 MB of tiny fields."""


def write(content: bytes, folder: Path) -> Path:
    path = folder / "bomb.onnx"
    path.write_bytes(content)
    return path


EXACT = (
    "ConstantOfShape",
    "ConstantOfShape of 40 GB",
    "Expand",
    "Range",
    "Tile",
    "Pad",
    "OneHot",
    "Resize",
    "Upsample",
    "RandomNormal",
    "Concat that doubles",
    "Concat that doubles a shape",
    "Add of a row and a column",
    "sparse initializer of 4 TB",
    "sparse Constant",
    "branch of an If",
    "shape that is computed",
    "initializer without data",
)
"""The small files whose size is known before any library reads them."""
