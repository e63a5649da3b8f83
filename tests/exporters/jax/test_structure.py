"""Names of arguments: in the order of the parameters, each with its own value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import onnxpack
from onnxpack.errors import ExportError, SampleError
from onnxpack.exporters.jax.structure import Arguments, name_outputs

ONE = np.arange(6, dtype=np.float32).reshape(2, 3)
OTHER = np.full((2, 3), 100, np.float32)
COUNTS = np.array([1, 2], np.int32)


class InFlax(nnx.Module):
    def __call__(self, x: Any, a: Any) -> Any:
        return x - 2 * a


class InEquinox(eqx.Module):
    def __call__(self, x: Any, a: Any) -> Any:
        return x - 2 * a


class InLinen(linen.Module):
    def __call__(self, x: Any, a: Any) -> Any:
        return x - 2 * a


def plain(x: Any, a: Any) -> Any:
    return x - 2 * a


def positional_only(x: Any, a: Any, /) -> Any:
    return x - 2 * a


def keyword_only(x: Any, b: float = 1.0, *, z: float = 0.0, a: Any) -> Any:
    return x * b - 2 * a + z


MODELS = {
    "jit": jax.jit(plain),
    "nnx": InFlax(),
    "equinox": InEquinox(),
    "linen": (InLinen(), {}),
    "positional only": jax.jit(positional_only),
}


def proven(model: Any, sample: Any, folder: Path) -> onnxpack.Model:
    return onnxpack.Model(onnxpack.export(model, sample, folder / "pack"))


@pytest.mark.parametrize("sample", [(ONE, OTHER), {"x": ONE, "a": OTHER}, {"a": OTHER, "x": ONE}])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_arguments_keep_their_order_and_names(model: Any, sample: Any, tmp_path: Path) -> None:
    pack = proven(model, sample, tmp_path)
    assert [spec.name for spec in pack.signature.inputs] == ["x", "a"]
    np.testing.assert_allclose(np.asarray(pack(ONE, OTHER)), ONE - 200)
    np.testing.assert_allclose(np.asarray(pack(a=OTHER, x=ONE)), ONE - 200)


def test_keyword_only_arguments_and_defaults(tmp_path: Path) -> None:
    pack = proven(jax.jit(keyword_only), {"a": OTHER, "x": ONE}, tmp_path)
    assert [spec.name for spec in pack.signature.inputs] == ["x", "a"]
    np.testing.assert_allclose(np.asarray(pack(a=OTHER, x=ONE)), ONE - 200)


@pytest.mark.parametrize("name", ["mask", "i", "z"])
def test_inputs_of_other_shapes_and_dtypes(name: str, tmp_path: Path) -> None:
    scope: dict[str, Any] = {"jnp": jnp}
    exec(f"def call(x, {name}): return x[jnp.arange(x.shape[0]), {name}]", scope)
    pack = proven(jax.jit(scope["call"]), (ONE, COUNTS), tmp_path)
    assert [spec.name for spec in pack.signature.inputs] == ["x", name]
    np.testing.assert_allclose(np.asarray(pack(ONE, COUNTS)), [1, 5])


def test_nested_values_keep_their_names() -> None:
    def call(second: Any, first: Any, *rest: Any) -> Any:
        return second, first, rest

    sample = ({"b": ONE, "a": OTHER, "k": 3}, (ONE * 2, {"z": ONE * 3}), ONE * 4)
    arguments = Arguments.of(call, sample)
    wanted = {
        "second_a": OTHER,
        "second_b": ONE,
        "first_0": ONE * 2,
        "first_1_z": ONE * 3,
        "rest_0": ONE * 4,
    }
    assert list(arguments.sample) == list(wanted)
    jax.tree.map(np.testing.assert_array_equal, dict(arguments.sample), wanted)
    assert arguments.constants == {"second_k": 3}
    args, kwargs = arguments.rebuild(list(arguments.sample.values()))
    jax.tree.map(np.testing.assert_array_equal, args, sample)
    assert kwargs == {}


def test_two_values_of_one_name_are_refused() -> None:
    """The second would replace the first without a word."""
    with pytest.raises(SampleError, match="'a_b'"):
        Arguments.of(lambda a, a_b: a, ({"b": ONE}, OTHER))
    with pytest.raises(ExportError, match="'a_b'"):
        name_outputs({"a": {"b": jnp.ones(2)}, "a_b": jnp.zeros(2)})
