"""Each operator's cost, against the number a person would work out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from onnxpack.graph.summary import summarize

Save = Callable[..., Path]
MS = "com.microsoft"


def node(op: str, inputs: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(","), ["y"], **attributes)


def zeros(*shape: int, dtype: str = "float32") -> Any:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("call", "inputs", "weights", "expected"),
    [
        (node("Conv", "x,w"), {"x": [1, 4, 8, 8]}, {"w": zeros(6, 4, 3, 3)}, 6 * 36 * 4 * 9),
        (
            node("Conv", "x,w", group=4, pads=[1, 1, 1, 1]),
            {"x": [1, 4, 8, 8]},
            {"w": zeros(4, 1, 3, 3)},
            4 * 64 * 9,
        ),
        (
            node("Conv", "x,w", strides=[2]),
            {"x": ["batch", 3, 9]},
            {"w": zeros(5, 3, 3)},
            5 * 4 * 9,
        ),
        (
            node("ConvTranspose", "x,w", strides=[2, 2]),
            {"x": [1, 4, 5, 5]},
            {"w": zeros(4, 3, 2, 2)},
            4 * 25 * 3 * 4,
        ),
        (node("Gemm", "x,w"), {"x": [2, 8]}, {"w": zeros(8, 5)}, 2 * 8 * 5),
        (node("Gemm", "x,w", transA=1), {"x": [8, 2]}, {"w": zeros(8, 5)}, 2 * 8 * 5),
        (node("MatMul", "x,w"), {"x": [3, 2, 8]}, {"w": zeros(8, 5)}, 3 * 2 * 8 * 5),
        (node("Einsum", "x,w", equation="bij,jk->bik"), {"x": [2, 3, 4], "w": [4, 5]}, {}, 120),
        (node("Einsum", "x", equation="bij->bji"), {"x": [2, 3, 4]}, {}, 0),
        (
            node("LSTM", "x,w,r", hidden_size=6),
            {"x": [7, 2, 3]},
            {"w": zeros(1, 24, 3), "r": zeros(1, 24, 6)},
            7 * 2 * (24 * 3 + 24 * 6),
        ),
        (
            node("GRU", "x,w,r", hidden_size=6),
            {"x": [7, 2, 3]},
            {"w": zeros(1, 18, 3), "r": zeros(1, 18, 6)},
            7 * 2 * (18 * 3 + 18 * 6),
        ),
        (
            node("Attention", "q,k,v"),
            {"q": [2, 4, 7, 8], "k": [2, 4, 9, 8], "v": [2, 4, 9, 8]},
            {},
            2 * (2 * 4 * 7 * 9 * 8),
        ),
        (node("Relu", "x"), {"x": [2, 3]}, {}, 0),
    ],
)
def test_one_operator(
    save: Save, call: onnx.NodeProto, inputs: Any, weights: Any, expected: int
) -> None:
    summary = summarize(save([call], inputs, weights=weights))
    assert (summary.macs, summary.uncounted) == (expected, 0)


@pytest.mark.parametrize(
    ("op", "attributes", "expected"),
    [
        ("FusedMatMul", {}, 2 * 8 * 5),
        ("FusedGemm", {}, 2 * 8 * 5),
        ("MatMulNBits", {"K": 8, "N": 5}, 2 * 8 * 5),
    ],
)
def test_onnxruntimes_own_operators_count_where_the_graph_states_their_shape(
    save: Save, op: str, attributes: dict[str, int], expected: int
) -> None:
    path = save(
        [node(op, "x,w", domain=MS, **attributes)],
        {"x": ["batch", 8]},
        weights={"w": zeros(8, 5)},
        domains=[MS],
    )
    model = onnx.load(path)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, ["batch", 5]))
    onnx.save(model, path)
    assert summarize(path, dims={"batch": 2}).macs == expected


def test_a_quantised_convolution_counts_as_much_as_a_float_one(save: Save) -> None:
    scales = {name: np.float32(0.1) for name in ("xs", "ws", "ys")}
    points = {name: np.uint8(0) for name in ("xz", "wz", "yz")}
    path = save(
        [node("QLinearConv", "x,xs,xz,w,ws,wz,ys,yz")],
        {"x": [1, 4, 8, 8]},
        weights={**scales, **points, "w": zeros(6, 4, 3, 3, dtype="uint8")},
        dtypes={"x": onnx.TensorProto.UINT8, "y": onnx.TensorProto.UINT8},
    )
    assert summarize(path).macs == 6 * 36 * 4 * 9


def test_attention_meets_past_keys_too(save: Save) -> None:
    past = {"pk": [2, 4, 5, 8], "pv": [2, 4, 5, 8]}
    path = save(
        [helper.make_node("Attention", ["q", "k", "v", "", "pk", "pv"], ["y", "nk", "nv"])],
        {"q": [2, 4, 1, 8], "k": [2, 4, 1, 8], "v": [2, 4, 1, 8], **past},
    )
    assert summarize(path).macs == 2 * (2 * 4 * 1 * 6 * 8)


def test_what_has_no_shape_is_said_to_be_uncounted(save: Save) -> None:
    path = save([node("MatMul", "x,w")], {"x": None}, weights={"w": zeros(8, 5)})
    summary = summarize(path)
    assert (summary.macs, summary.uncounted) == (None, 1)


def test_the_body_of_a_branch_is_uncounted(save: Save) -> None:
    def branch(name: str) -> onnx.GraphProto:
        out = helper.make_tensor_value_info(name, 1, [2, 5])
        return helper.make_graph([helper.make_node("MatMul", ["x", "w"], [name])], name, [], [out])

    path = save(
        [
            node("If", "c", then_branch=branch("a"), else_branch=branch("b")),
            helper.make_node("MatMul", ["x", "w"], ["z"]),
        ],
        {"c": [], "x": [2, 8]},
        weights={"w": zeros(8, 5)},
        dtypes={"c": onnx.TensorProto.BOOL},
    )
    summary = summarize(path)
    assert (summary.macs, summary.uncounted, summary.nodes) == (2 * 8 * 5, 2, 4)
    assert summary.operators == {"MatMul": 3, "If": 1}


def test_functions_are_written_out(save: Save) -> None:
    function = helper.make_function(
        "local",
        "twice",
        ["a", "w"],
        ["b"],
        [
            helper.make_node("MatMul", ["a", "w"], ["t"]),
            helper.make_node("MatMul", ["t", "w"], ["b"]),
        ],
        [helper.make_opsetid("", 23)],
    )
    path = save(
        [node("twice", "x,w", domain="local")],
        {"x": ["batch", 8]},
        weights={"w": zeros(8, 8)},
        functions=[function],
        domains=["local"],
    )
    summary = summarize(path, dims={"batch": 3})
    assert summary.macs == 2 * 3 * 8 * 8
    assert summary.functions == ("local.twice",)
    assert summary.operators == {"local.twice": 1}
