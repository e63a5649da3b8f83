"""Small graphs that ask for more memory or time than any machine has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from trial import Attack

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
HUGE = 10**12


def attacks(work: Path) -> Iterator[Attack]:
    """Yield each graph, and what reads it: it is judged in bounds, or refused."""
    for name, make in _GRAPHS.items():
        path = work / f"{name.replace(' ', '-')}.onnx"
        made = make()
        path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        lines = (
            ("inspect", str(path)), ("check", str(path)),
            ("run", str(path), "--input", "random"),
        )  # fmt: skip
        yield Attack(name, lines, refused=False)


def _model(nodes: list[Any], *initializers: TensorProto, **more: Any) -> onnx.ModelProto:
    """Return a model with the input ``x`` of one number, and the output ``y``."""
    graph = helper.make_graph(
        nodes, "bomb", [helper.make_tensor_value_info("x", FLOAT, [1])],
        [helper.make_tensor_value_info("y", FLOAT, None)], list(initializers),
    )  # fmt: skip
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, **more
    )


def _constant(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def _single(name: str, value: float, kind: Any = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.array(value, kind), name)


def _sum(of: str) -> list[Any]:
    """Return nodes that add all of a tensor to the input."""
    return [
        helper.make_node("ReduceSum", [of], ["s"], keepdims=0),
        helper.make_node("Add", ["x", "s"], ["y"]),
    ]


def _filled() -> onnx.ModelProto:
    node = helper.make_node("ConstantOfShape", ["shape"], ["big"])
    return _model([node, *_sum("big")], _constant("shape", HUGE))


def _expanded() -> onnx.ModelProto:
    node = helper.make_node("Expand", ["x", "shape"], ["big"])
    return _model([node, *_sum("big")], _constant("shape", HUGE))


def _ranged() -> onnx.ModelProto:
    node = helper.make_node("Range", ["from", "to", "step"], ["big"])
    return _model(
        [node, *_sum("big")],
        *(_single(name, value) for name, value in (("from", 0), ("to", 1e12), ("step", 1))),
    )


def _tiled() -> onnx.ModelProto:
    node = helper.make_node("Tile", ["x", "times"], ["big"])
    return _model([node, *_sum("big")], _constant("times", HUGE))


def _padded() -> onnx.ModelProto:
    node = helper.make_node("Pad", ["x", "pads"], ["big"])
    return _model([node, *_sum("big")], _constant("pads", 0, HUGE))


def _one_hot() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["x"], ["at"], to=INT64),
        helper.make_node("OneHot", ["at", "depth", "values"], ["big"]),
    ]
    values = numpy_helper.from_array(np.array([0, 1], np.float32), "values")
    return _model([*nodes, *_sum("big")], _single("depth", HUGE, np.int64), values)


def _resized() -> onnx.ModelProto:
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["big"], mode="nearest")
    return _model([node, *_sum("big")], _constant("sizes", HUGE))


def _doubled(start: str, initializers: tuple[TensorProto, ...]) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Concat", [f"v{i}" if i else start] * 2, [f"v{i + 1}"], axis=0)
        for i in range(40)
    ]
    return _model([*nodes, *_sum("v40")], *initializers)


def _doubled_constants() -> onnx.ModelProto:
    return _doubled("start", (numpy_helper.from_array(np.ones(1, np.float32), "start"),))


def _doubled_inputs() -> onnx.ModelProto:
    return _doubled("x", ())


def _sparse() -> onnx.ModelProto:
    model = _model([helper.make_node("Add", ["x", "wide"], ["z"]), *_sum("z")])
    model.graph.sparse_initializer.append(
        onnx.SparseTensorProto(
            values=numpy_helper.from_array(np.ones(1, np.float32), "wide"),
            indices=numpy_helper.from_array(np.zeros(1, np.int64), "at"),
            dims=[2**29],
        )
    )
    return model


def _empty_data() -> onnx.ModelProto:
    model = _model([helper.make_node("Add", ["x", "wide"], ["z"]), *_sum("z")])
    model.graph.initializer.append(TensorProto(name="wide", data_type=FLOAT, dims=[10**9, 10**9]))
    return model


def _many_nodes() -> onnx.ModelProto:
    nodes = [helper.make_node("Relu", [f"v{i}" if i else "x"], [f"v{i + 1}"]) for i in range(10**6)]
    return _model([*nodes, *_sum(f"v{10**6}")])


def _many_fields() -> bytes:
    """Return 50 MB of empty metadata_props behind a small model."""
    return bytes(_model(_sum("x")).SerializeToString()) + b"\x72\x00" * (25 * 10**6)


def _many_initializers() -> onnx.ModelProto:
    model = _model(_sum("x"))
    model.graph.initializer.extend(
        TensorProto(name=f"i{i}", data_type=FLOAT, dims=[0]) for i in range(10**6)
    )
    return model


def _nested() -> onnx.ModelProto:
    """Return branches within branches, each written twice: 2 ** 17 of the innermost."""
    inner = helper.make_node("Identity", ["x"], ["d0"])
    for depth in range(17):
        said = [helper.make_tensor_value_info(f"d{depth}", FLOAT, None)]
        body = helper.make_graph([inner], f"g{depth}", [], said)
        inner = helper.make_node(
            "If", ["yes"], [f"d{depth + 1}"], then_branch=body, else_branch=body
        )
    return _model([inner, *_sum("d17")], _single("yes", True, np.bool_))


def _loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["still"]),
            helper.make_node("Identity", ["v"], ["w"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", INT64, []),
            helper.make_tensor_value_info("go", BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("still", BOOL, []),
            helper.make_tensor_value_info("w", FLOAT, [1]),
        ],
    )
    node = helper.make_node("Loop", ["trips", "yes", "x"], ["v"], body=body)
    return _model(
        [node, *_sum("v")], _single("trips", HUGE, np.int64), _single("yes", True, np.bool_)
    )


def _functions() -> onnx.ModelProto:
    """Return functions that each call the one before twice: 2 ** 30 nodes when inlined."""
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("bomb", 1)]
    made = [
        helper.make_function(
            "bomb", "f0", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], opset
        )
    ]
    for i in range(1, 31):
        calls = [
            helper.make_node(f"f{i - 1}", ["a"], ["m"], domain="bomb"),
            helper.make_node(f"f{i - 1}", ["m"], ["b"], domain="bomb"),
        ]
        made.append(helper.make_function("bomb", f"f{i}", ["a"], ["b"], calls, opset))
    model = _model([helper.make_node("f30", ["x"], ["big"], domain="bomb"), *_sum("big")])
    model.functions.extend(made)
    model.opset_import.append(helper.make_opsetid("bomb", 1))
    return model


_GRAPHS: dict[str, Callable[[], onnx.ModelProto | bytes]] = {
    "ConstantOfShape of 1e12": _filled,
    "Expand to 1e12": _expanded,
    "Range to 1e12": _ranged,
    "Tile 1e12 times": _tiled,
    "Pad by 1e12": _padded,
    "OneHot of depth 1e12": _one_hot,
    "Resize to 1e12": _resized,
    "a constant doubled 40 times": _doubled_constants,
    "an input doubled 40 times": _doubled_inputs,
    "a sparse initializer of 2 to the 29": _sparse,
    "an initializer of 1e18 without data": _empty_data,
    "a million nodes": _many_nodes,
    "25 million empty fields": _many_fields,
    "a million initializers": _many_initializers,
    "2 to the 17 branches": _nested,
    "a loop of 1e12 trips": _loop,
    "functions of 2 to the 30 nodes": _functions,
}
