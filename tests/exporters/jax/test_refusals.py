"""Causes of a refusal are named only where they are the cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import onnxpack
from onnxpack.comparison.tolerance import OutputEvidence
from onnxpack.errors import ExportError
from onnxpack.exporters.jax.causes import SIGNED_ZEROS, diagnose
from onnxpack.pack.manifest import CaseEvidence
from onnxpack.parity.subject import Attempt
from onnxpack.parity.ties import ZEROS

ROWS = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)


def refused(function: Any, folder: Path) -> ExportError:
    with pytest.raises(ExportError) as caught:
        onnxpack.export(jax.jit(function), ROWS, folder / "pack")
    return caught.value


def test_a_loop_over_a_size_that_varies(tmp_path: Path) -> None:
    def summed(x: Any) -> Any:
        for place in range(x.shape[0]):
            x = x + place
        return x

    error = refused(summed, tmp_path)
    assert "needs a dynamic size as a Python number" in str(error)
    assert "//" not in str(error)
    assert "static=True" in error.remedy


def test_what_jax2onnx_cannot_convert_is_named(tmp_path: Path) -> None:
    error = refused(lambda x: jax.lax.cummax(x, axis=0), tmp_path)
    assert "where jax2onnx converts 'cummax'" in str(error)
    error = refused(lambda x: jax.vmap(lambda row: jnp.arange(7.0).at[row.astype(int)].set(3))(x),
                    tmp_path)  # fmt: skip
    assert "in a way that jax2onnx cannot convert" in str(error)


@pytest.mark.parametrize(
    "function",
    [jnp.signbit, jnp.copysign, lambda x, _: jax.lax.bitcast_convert_type(x, jnp.int32)],
    ids=["signbit", "copysign", "bitcast"],
)
def test_bits_of_numbers_need_a_newer_opset(tmp_path: Path, function: Any) -> None:
    def called(x: Any) -> Any:
        return function(x) if function is jnp.signbit else function(x, x[:, ::-1])

    error = refused(called, tmp_path)
    assert "only from opset 26 on" in str(error)
    assert error.remedy == "export it with opset=26 (--opset 26)"
    pack = onnxpack.export(jax.jit(called), ROWS, tmp_path / "newer", opset=26)
    ill = np.array([[0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf]], np.float32)
    found = np.asarray(onnxpack.Model(pack)(ill))
    wanted = np.asarray(jax.jit(called)(ill))
    np.testing.assert_array_equal(found, wanted)  # NaN of both signs too


def differs_at(*names: str) -> Attempt:
    def case(name: str) -> CaseEvidence:
        output = OutputEvidence(
            output="output",
            max_abs=0.0,
            max_rel=0.0,
            argmax_agreement=None,
            passed=name not in names,
        )
        return CaseEvidence(name=name, dims={}, golden=None, outputs=(output,))

    return Attempt("jax2onnx", evidence=tuple(map(case, ("sample", "batch=1", ZEROS, *names))))


def test_zeros_are_blamed_on_sorting_only_where_something_is_sorted() -> None:
    attempts = [differs_at(ZEROS)]
    assert diagnose(attempts, {"mul", "top_k"}) is SIGNED_ZEROS
    assert diagnose(attempts, {"mul", "div"}) is None


def test_what_another_strategy_met_is_not_the_cause() -> None:
    other = Attempt("jax2onnx by steps", error="NotImplementedError: No plugins registered for 'a'")
    assert diagnose([other], set()) is not None
    assert diagnose([other, differs_at("NaN among the numbers")], set()) is None
