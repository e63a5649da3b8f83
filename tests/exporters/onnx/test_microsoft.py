"""Operators of ONNX Runtime: our definitions beside ONNX Runtime's own answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import onnxpack
from onnxpack.exporters.onnx.microsoft import MICROSOFT, of_microsoft

RANDOM = np.random.default_rng(0)
EDGES = np.array([0.0, -0.0, np.inf, np.nan, 1e-30, 40.0, -40.0], "f4")


def normal(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype("f4")


def made(
    kind: str,
    given: dict[str, Any],
    outputs: tuple[str, ...] = ("y",),
    domain: str = MICROSOFT,
    opset: int = 18,
    names: tuple[str, ...] | None = None,
    **attributes: Any,
) -> Any:
    node = helper.make_node(kind, names or [*given], [*outputs], domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *given["x"].shape[1:]])],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs if o],
        [numpy_helper.from_array(v, k) for k, v in given.items() if k != "x"],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


MATRICES = {"x": normal(3, 4, 5), "w": normal(3, 5, 2)}
FLAT = {"x": normal(3, 4), "w": normal(4, 2)}
GEMM = {**FLAT, "c": normal(2)}
SKIP = {"x": normal(2, 3, 4), "skip": normal(2, 3, 4), "gamma": normal(4)}
BIASED = {"bias": normal(4)}
CASES: dict[str, Any] = {
    "Gelu": made("Gelu", {"x": normal(3, 4)}),
    "Gelu at edges": made("Gelu", {"x": EDGES[None]}),
    "BiasGelu": made("BiasGelu", {"x": normal(2, 3, 4), **BIASED}),
    "QuickGelu": made("QuickGelu", {"x": normal(3, 4)}),
    "QuickGelu at edges": made("QuickGelu", {"x": EDGES[None]}, alpha=1.0),
    "FastGelu": made("FastGelu", {"x": normal(3, 4)}),
    "FastGelu of a sum": made("FastGelu", {"x": normal(3, 4), **BIASED}),
    "FusedMatMul": made("FusedMatMul", MATRICES, alpha=0.5),
    "FusedMatMul transA": made("FusedMatMul", {**MATRICES, "x": normal(3, 5, 4)}, transA=1),
    "FusedMatMul transB": made("FusedMatMul", {**MATRICES, "w": normal(3, 2, 5)}, transB=1),
    "FusedMatMul transBatchA": made(
        "FusedMatMul", {"x": normal(4, 3, 5), "w": normal(3, 5, 2)}, transBatchA=1
    ),
    "FusedMatMul transBatchA transA": made(
        "FusedMatMul", {"x": normal(5, 3, 4), "w": normal(3, 5, 2)}, transBatchA=1, transA=1
    ),
    "FusedMatMul transBatchB transB": made(
        "FusedMatMul", {"x": normal(3, 4, 5), "w": normal(2, 3, 5)}, transBatchB=1, transB=1
    ),
    "FusedMatMul of a vector": made("FusedMatMul", {"x": normal(3, 4), "w": normal(4)}),
    "FusedGemm Relu": made("FusedGemm", GEMM, activation="Relu", alpha=0.5, beta=2.0),
    "FusedGemm Tanh": made("FusedGemm", FLAT, activation="Tanh"),
    "FusedGemm Sigmoid": made(
        "FusedGemm", {**GEMM, "w": normal(2, 4)}, transB=1, activation="Sigmoid"
    ),
    "FusedGemm LeakyRelu": made(
        "FusedGemm", GEMM, activation="LeakyRelu", activation_alpha=0.3
    ),
    "FusedGemm HardSigmoid": made(
        "FusedGemm", GEMM, activation="HardSigmoid", activation_alpha=0.3, activation_beta=0.4
    ),
    "SkipLayerNormalization": made("SkipLayerNormalization", SKIP, epsilon=1e-5),
    "SkipLayerNormalization of all": made(
        "SkipLayerNormalization",
        {**SKIP, "beta": normal(4), **BIASED},
        outputs=("y", "", "", "sum"),
    ),
    "SkipLayerNormalization of a bias": made(
        "SkipLayerNormalization", {**SKIP, **BIASED}, names=("x", "skip", "gamma", "", "bias")
    ),
    "SkipLayerNormalization of one skip": made(
        "SkipLayerNormalization", {**SKIP, "skip": normal(1, 3, 4)}
    ),
    "SkipSimplifiedLayerNormalization": made(
        "SkipSimplifiedLayerNormalization", {**SKIP, **BIASED}, outputs=("y", "", "", "sum")
    ),
    "LayerNormalization 13": made(
        "LayerNormalization", {"x": normal(2, 3, 4), "s": normal(3, 4), "b": normal(3, 4)},
        domain="", opset=13, axis=1,
    ),
    "SimplifiedLayerNormalization": made(
        "SimplifiedLayerNormalization", {"x": normal(2, 3, 4), "s": normal(4)}, domain=""
    ),
}  # fmt: skip


def first_input(model: Any) -> Any:
    dims = model.graph.input[0].type.tensor_type.shape.dim
    return normal(2, *(dim.dim_value for dim in dims[1:]))


@pytest.mark.parametrize("name", CASES)
def test_as_onnxruntime_answers(name: str) -> None:
    model = CASES[name]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    rows = {"FusedMatMul transBatchA": 4, "FusedMatMul transBatchA transA": 5}.get(name)
    x = normal(rows or (2 if name.startswith("Skip") else 3), *shape)
    x = EDGES[None] if name.endswith("edges") else x
    operators = of_microsoft(model.opset_import[0].version)
    found = ReferenceEvaluator(model, new_ops=operators).run(None, {"x": x})
    expected = session.run(None, {"x": x})
    assert len(found) == len(expected)
    for own, wanted in zip(found, expected, strict=True):
        assert own.dtype == wanted.dtype
        np.testing.assert_allclose(own, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    "name",
    [
        "BiasGelu",
        "FastGelu",
        "FusedGemm Relu",
        "FusedMatMul of a vector",
        "Gelu",
        "LayerNormalization 13",
        "QuickGelu",
        "SimplifiedLayerNormalization",
        "SkipLayerNormalization of one skip",
    ],
)
def test_they_are_adopted(tmp_path: Path, name: str) -> None:
    onnx.save(CASES[name], tmp_path / "g.onnx")
    pack = onnxpack.export(tmp_path / "g.onnx", first_input(CASES[name]), tmp_path / "pack")
    assert len(pack.manifest.parity.cases) > 10
    assert onnxpack.Model(pack).prove().ok


def test_an_output_without_a_name_is_no_input_of_others(tmp_path: Path) -> None:
    model = CASES["SkipLayerNormalization of all"]
    clip = helper.make_node("Clip", ["sum", "", "top"], ["z"])
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.node.append(clip)
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.1, "f4"), "top"))
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    _, total, found = ReferenceEvaluator(model, new_ops=of_microsoft(18)).run(
        None, {"x": SKIP["x"]}
    )
    np.testing.assert_array_equal(found, np.minimum(total, np.float32(0.1)))


def test_what_the_optimiser_of_onnxruntime_writes(tmp_path: Path) -> None:
    """A Gelu and a transposed product, fused by ONNX Runtime into a file."""
    body = """
        h = MatMul(x, w) a = Add(h, b) s = Constant<value = float {1.4142135}>() d = Div(a, s)
        e = Erf(d) o = Constant<value = float {1.0}>() f = Add(e, o) g = Mul(a, f)
        k = Constant<value = float {0.5}>() u = Mul(g, k)
        t = Transpose<perm = [0, 2, 1]>(u) y = MatMul(u, t)
    """
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[n,3,4] x) => (float[n,3,3] y)'
    model = onnx.parser.parse_model(f"{head} {{ {body} }}")
    for name, value in {"w": normal(4, 4), "b": normal(4)}.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node}
    assert {"BiasGelu", "FusedMatMul"} <= kinds
    x = normal(2, 3, 4)
    pack = onnxpack.export(tmp_path / "fused.onnx", x, tmp_path / "pack")
    own = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_allclose(onnxpack.Model(pack)(x), own[0], rtol=1e-4, atol=1e-5)
