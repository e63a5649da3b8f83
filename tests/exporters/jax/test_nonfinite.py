"""NaN and infinities in JAX: graphs answer as JAX does; names and casts too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from flax import linen

import onnxpack
from onnxpack.errors import ExportError, ParityError
from onnxpack.exporters.nonfinite import SUFFIX
from onnxpack.parity.nonfinite import NONFINITE

ROWS = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
PICTURES = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype(np.float32)


def holed(sample: Any, at: int) -> Any:
    flat = sample.reshape(len(sample), -1).copy()
    flat[::2, at] = np.nan
    flat[1::2, -1 - at] = np.inf
    return flat.reshape(sample.shape)


def exported(folder: Path, function: Any, sample: Any) -> Any:
    pack = onnxpack.export(function, sample, folder / "pack")
    assert pack.manifest is not None
    return pack, onnxruntime.InferenceSession(pack.model_path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("function", "sample", "kept"),
    [
        (lambda a: jnp.max(a, 1), ROWS, True),
        (lambda a: jnp.min(a), ROWS, True),
        (lambda a: jnp.argmax(a, 1), ROWS, True),
        (lambda a: jnp.argmin(a, -1, keepdims=True), ROWS, True),
        (lambda a: linen.max_pool(a, (2, 2), strides=(2, 2)), PICTURES, True),
        (lambda a: jnp.ptp(a, 1), ROWS, True),
        (lambda a: jax.ops.segment_max(a.T, jnp.array([0, 1, 1, 0, 2, 1]), 3).T, ROWS, False),
        (lambda a: a.at[:, jnp.array([0, 2, 0])].min(a[:, 3:] * 2), ROWS, False),
        (lambda a: (a * 300).astype(jnp.uint8), ROWS, True),
        (lambda a: (a * 1e10).astype(jnp.int32), ROWS, True),
        (lambda a: jnp.sort(jnp.maximum(jax.nn.relu(a), a[:, ::-1]), 1), ROWS, False),
        (lambda a: jnp.median(jnp.clip(a, -1, 1), 1), ROWS, False),
    ],
    ids=[
        "max",
        "min",
        "argmax",
        "argmin",
        "max_pool",
        "ptp",
        "segments",
        "at",
        "uint8",
        "int32",
        "sort",
        "median",
    ],
)
def test_nan_is_kept(tmp_path: Path, function: Any, sample: Any, kept: bool) -> None:
    compiled = jax.jit(function)
    pack, session = exported(tmp_path, compiled, sample)
    assert pack.manifest.source.strategy.endswith(SUFFIX) is kept
    for at in (0, 2, 5):
        feeds = holed(sample, at)
        (found,) = session.run(None, {"a": feeds})
        np.testing.assert_allclose(found, np.asarray(compiled(feeds)), rtol=1e-5, atol=1e-6)


def test_what_differs_only_there_is_refused_and_can_be_accepted(tmp_path: Path) -> None:
    """XLA's rank is 1.9999999; the graph's is 2, and 0 times minus infinity is NaN.

    That one strategy lacks a primitive is not the cause.
    """
    function = jax.jit(lambda a: jnp.percentile(a, 40, axis=1))
    with pytest.raises(ParityError, match="infinities among the numbers") as caught:
        onnxpack.export(function, ROWS, tmp_path / "pack")
    assert "cause" not in str(caught.value)
    names = [name for name in NONFINITE if f"--accept '{name}'" in caught.value.remedy]
    assert names
    pack = onnxpack.export(function, ROWS, tmp_path / "pack", accept=names)
    assert pack.manifest is not None
    assert any(case.accepted for case in pack.manifest.parity.cases)


def test_integers_are_not_asked_with_nan(tmp_path: Path) -> None:
    function = jax.jit(lambda a: jnp.max(a, 1))
    pack, _ = exported(tmp_path, function, ROWS.astype(np.int32))
    assert not {case.name for case in pack.manifest.parity.cases} & NONFINITE


@pytest.mark.parametrize("name", ["add_out_0", "const_1", "mul_out_0", "onnxpack_input_1"])
def test_names_within_the_graph_give_way(tmp_path: Path, name: str) -> None:
    """jax2onnx 0.17 refuses names that it has given to values of its own."""
    scope: dict[str, Any] = {"jnp": jnp}
    exec(f"def call(x, {name}): return jnp.tanh(x + {name}) * 2.0", scope)
    function = jax.jit(scope["call"])
    feeds = {"x": ROWS, name: ROWS * 2}
    _, session = exported(tmp_path, function, feeds)
    (found,) = session.run(None, feeds)
    np.testing.assert_allclose(found, np.asarray(function(**feeds)), rtol=1e-5, atol=1e-6)


def test_outputs_named_like_values_of_the_graph(tmp_path: Path) -> None:
    function = jax.jit(lambda x: {"add_out_0": jnp.tanh(x + 1.0), "mul_out_0": x * 2.0})
    _, session = exported(tmp_path, function, {"x": ROWS})
    assert [output.name for output in session.get_outputs()] == ["add_out_0", "mul_out_0"]
    found = session.run(["mul_out_0"], {"x": ROWS})[0]
    np.testing.assert_allclose(found, ROWS * 2, rtol=1e-6)


def test_one_name_for_an_input_and_an_output(tmp_path: Path) -> None:
    function = jax.jit(lambda x: {"x": x * 2.0})
    with pytest.raises(ExportError, match="an input and an output are both called 'x'"):
        onnxpack.export(function, {"x": ROWS}, tmp_path / "pack")
