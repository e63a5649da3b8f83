"""Graphs that draw at random are refused, wherever the draw stands; ordinary ones are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
import torch
from torch import nn

import onnxpack
from onnxpack.errors import ExportError
from onnxpack.exporters.random_operators import find_random

X = np.random.default_rng(0).normal(size=(2, 4)).astype("f4")
HEAD = '<ir_version: 8, opset_import: ["" : {opset}, "own" : 1, "com.microsoft" : 1]>'
PORTS = "g (float[N,4] x) => (float[N,4] y)"
FAR = "m = ReduceMax<keepdims=0>(x) t = Constant<value_float=100000.0>() c = Greater(m, t)"


def graph(body: str, *, functions: str = "", opset: int = 17) -> Any:
    text = f"{HEAD.format(opset=opset)} {PORTS} {{ {body} }} {functions}"
    return onnx.parser.parse_model(text)


BRANCH = (
    f"{FAR} y = If(c)<then_branch = a () => (float[N,4] r) {{ r = RandomNormalLike(x) }},"
    " else_branch = b () => (float[N,4] s) { s = Identity(x) }>"
)
BODY = (
    "n = Constant<value_int=2>() on = Constant<value = bool {1}>() y = Loop(n, on, x)"
    "<body = b (int64 i, bool d, float[N,4] z) => (bool e, float[N,4] w)"
    " { e = Identity(d) w = RandomUniformLike(z) }>"
)
TURNS = (
    "y = Scan<num_scan_inputs = 1, body = b (float[4] z) => (float[4] w)"
    " { p = Sigmoid(z) w = Bernoulli(p) }>(x)"
)
FUNCTION = '<domain: "own", opset_import: ["" : 17]> noisy (x) => (y) { y = RandomNormalLike(x) }'
TRAINS = "r = Constant<value_float=0.5>() on = Constant<value = bool {{{0}}}>() "


@pytest.mark.parametrize(
    ("model", "operator"),
    [
        (graph(f"{FAR} r = RandomNormalLike(x) y = Where(c, r, x)"), "RandomNormalLike"),
        (graph("r = RandomUniform<shape=[4], seed=1.0>() y = Add(x, r)"), "RandomUniform"),
        (graph("r = RandomNormal<shape=[4]>() y = Add(x, r)"), "RandomNormal"),
        (graph("i = Multinomial(x) f = CastLike(i, x) y = Add(x, f)"), "Multinomial"),
        (graph(BRANCH), "RandomNormalLike"),
        (graph(BODY), "RandomUniformLike"),
        (graph(TURNS), "Bernoulli"),
        (graph("y = own.noisy(x)", functions=FUNCTION), "RandomNormalLike"),
        (graph(TRAINS.format(1) + "y = Dropout(x, r, on)"), "Dropout"),
        (
            graph(f"{FAR} any = ReduceMax<keepdims=0>(m) r = Constant<value_float=0.5>() "
                  "k = Greater(any, t) y = Dropout(x, r, k)"),
            "Dropout",
        ),
        (graph("y = Dropout(x)", opset=6), "Dropout"),
        (graph(TRAINS.format(1) + "y = com.microsoft.BiasDropout(x, x, , r, on)"), "BiasDropout"),
    ],
)  # fmt: skip
def test_draws_are_found(model: Any, operator: str) -> None:
    assert [node.op_type for node in find_random(ir.from_proto(model))] == [operator]


@pytest.mark.parametrize(
    "model",
    [
        graph("y = Dropout(x)"),
        graph("y = Dropout<is_test=1>(x)", opset=6),
        graph(TRAINS.format(0) + "y = Dropout(x, r, on)"),
        graph("r = RandomNormalLike(x) y = Relu(x)"),
        graph(
            "y = own.Dropout(x)",
            functions='<domain: "own", opset_import: ["" : 17]> Dropout (x) => (y) { y = Abs(x) }',
        ),
    ],
)
def test_what_draws_nothing_is_not_found(model: Any) -> None:
    assert not list(find_random(ir.from_proto(model)))


def adopt(folder: Path, model: Any, sample: Any = X) -> Any:
    onnx.save(model, folder / "found.onnx")
    return onnxpack.export(folder / "found.onnx", sample, folder / "pack")


@pytest.mark.parametrize("operator", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_an_adopted_graph_is_refused_with_a_cure_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operator: str
) -> None:
    with pytest.raises(ExportError, match=f"draws random numbers, by {operator}, in 'r'") as caught:
        adopt(tmp_path, graph(f"{FAR} r = {operator}(x) y = Where(c, r, x)"))
    assert not (tmp_path / "pack").exists()
    call = caught.value.remedy.partition("input: ")[2].partition(", and")[0]
    monkeypatch.chdir(tmp_path)
    eval(call, {"onnx": onnx})
    pack = onnxpack.export("given.onnx", {"x": X, "r": X}, tmp_path / "pack")
    assert [spec.name for spec in pack.manifest.signature.inputs] == ["x", "r"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (graph(BRANCH), "make the random numbers an input"),
        (graph(f"{FAR} any = ReduceMax<keepdims=0>(m) r = Constant<value_float=0.5>() "
               "k = Greater(any, t) y = Dropout(x, r, k)"), "training_mode"),
    ],
)  # fmt: skip
def test_other_cures(tmp_path: Path, model: Any, words: str) -> None:
    with pytest.raises(ExportError) as caught:
        adopt(tmp_path, model)
    assert words in caught.value.remedy


class FarNoise(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if bool(x.max() > 1e5):
            x = x * torch.randn_like(x)
        return x


def test_a_script_that_draws_in_a_branch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="draws random numbers") as caught:
        onnxpack.export(FarNoise(), torch.ones(2, 4), tmp_path / "pack")
    assert "make the noise an input of forward()" in caught.value.remedy
    assert not (tmp_path / "pack").exists()
