"""Sums of integers that float64 does not hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

import onnxpack
from onnxpack.errors import ExportError
from onnxpack.exporters.dtypes import dtype_of
from onnxpack.exporters.integers import add_exactly

LARGE = np.iinfo(np.int64).max // 3


class Applies(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def exported(function: Callable[[Tensor], Any], sample: Tensor, to: Path) -> onnxpack.Pack:
    return onnxpack.export(Applies(function), sample, to / "pack")


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sum(-1),
        lambda x: x.sum((0, 1))[None],
        lambda x: x.sum(1, keepdim=True) + x.sum(),
        lambda x: (x * 3).sum(-1) % 1000,
    ],
    ids=["last axis", "all axes", "kept axis", "hash"],
)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_what_float64_does_not_hold(
    tmp_path: Path, function: Callable[[Tensor], Any], dtype: torch.dtype
) -> None:
    model = onnxpack.Model(exported(function, torch.ones(2, 5, dtype=dtype), tmp_path))
    random, info = np.random.default_rng(0), torch.iinfo(dtype)
    x = random.integers(info.min, info.max, (3, 5), dtype=np.dtype(str(dtype)[6:]), endpoint=True)
    (found,) = model.run({"x": x}).values()
    np.testing.assert_array_equal(found, function(torch.from_numpy(x)).numpy())


def test_in_jax(tmp_path: Path) -> None:
    import jax
    import jax.numpy as jnp

    pack = onnxpack.export(
        jax.jit(lambda x: x.sum(-1)), jnp.ones((2, 4), jnp.int32), tmp_path / "pack"
    )
    x = np.full((3, 4), 2**30 + 1, np.int32)
    (found,) = onnxpack.Model(pack).run({pack_input(pack): x}).values()
    np.testing.assert_array_equal(found, x.sum(-1, dtype=np.int32))


def test_a_count_stays_one_operator(tmp_path: Path) -> None:
    pack = exported(lambda x: (x > 0).sum(-1), torch.ones(2, 4), tmp_path)
    kinds = [node.op_type for node in ir.load(pack.model_path).graph]
    assert "Mod" not in kinds
    assert kinds.count("ReduceSum") == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.prod(-1),
        lambda x: x.prod(0, keepdim=True) + x,
        lambda x: x.prod()[None] + x[:, 0] * 0,
        lambda x: x.prod(1).prod(-1),
    ],
    ids=["last axis", "kept axis", "all axes", "axis after axis"],
)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_products_wrap_round(
    tmp_path: Path, function: Callable[[Tensor], Any], dtype: torch.dtype
) -> None:
    pack = exported(function, torch.full((2, 5, 3), 2, dtype=dtype), tmp_path)
    x = np.random.default_rng(0).integers(-(2**31), 2**31, (3, 5, 3)).astype(str(dtype)[6:])
    (found,) = onnxpack.Model(pack).run({"x": x}).values()
    np.testing.assert_array_equal(found, function(torch.from_numpy(x)).numpy())
    kinds = [node.op_type for node in ir.load(pack.model_path).graph]
    assert "Scan" in kinds


def test_a_product_along_several_axes_is_refused() -> None:
    text = """
        < ir_version: 9, opset_import: ["" : 18] >
        g (int64[n, m, k] x) => (int64[] y) {
            axes = Constant <value: tensor = int64[2] {0, 1}> ()
            y = ReduceProd <keepdims: int = 0> (x, axes)
        }"""
    with pytest.raises(ExportError, match="several axes"):
        add_exactly(ir.from_onnx_text(text))


def test_a_product_of_sizes_is_not(tmp_path: Path) -> None:
    shape = lambda x: x.reshape(-1) * torch.tensor(x.shape).prod()  # noqa: E731
    exported(shape, torch.ones(2, 4), tmp_path)


def pack_input(pack: onnxpack.Pack) -> str:
    return onnxpack.Model(pack).signature.inputs[0].name


def test_dtypes_that_no_exporter_stated() -> None:
    text = """
        < ir_version: 9, opset_import: ["" : 18] >
        g (int64[n] x, float[n] y) => (int64[] a) {
            limit = Constant <value: tensor = int64 {3}> ()
            less = Less (x, limit)
            chosen = Where (less, x, limit)
            high, places = TopK (y, limit)
            ones = Cast <to: int = 6> (less)
            zeros = ConstantOfShape (limit)
            a = ReduceSum (chosen)
        }"""
    graph = ir.from_onnx_text(text).graph
    found = {
        str(value.name): value
        for node in graph
        for value in node.outputs
        if value.name not in ("limit", "a")
    }
    for value in (*found.values(), *graph.outputs):
        value.type = None
    assert {name: str(dtype_of(value)) for name, value in found.items()} == {
        "less": "BOOL",
        "chosen": "INT64",
        "high": "FLOAT",
        "places": "INT64",
        "ones": "INT32",
        "zeros": "FLOAT",
    }
