"""Primitives at their ends: places out of range, overflow of integers, infinities, long shifts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from flax import nnx
from jax import lax

import onnxpack

TABLE = jnp.arange(21.0).reshape(7, 3)
PLACES = np.arange(10, dtype=np.int32).reshape(2, 5) % 3
BEYOND = np.array([[7, 9, 100, -1, -7], [-8, -9, -14, -15, -100]], np.int32)
FLAX = nnx.Embed(7, 3, rngs=nnx.Rngs(0))
EQUINOX = eqx.nn.Embedding(7, 3, key=jax.random.key(0))
NUMBERS = np.arange(10, dtype=np.int32).reshape(2, 5)


def equal_at(function: Any, sample: Any, *feeds: Any, folder: Path, static: bool = False) -> None:
    """Whether the pack answers as the function does, NaN and dtypes included."""
    compiled = jax.jit(function)
    pack = onnxpack.export(compiled, sample, folder / "pack", static=static)
    session = onnxruntime.InferenceSession(pack.model_path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    for each in feeds:
        found = session.run(None, dict(zip(names, each, strict=True)))
        wanted = [np.asarray(array) for array in jax.tree.leaves(compiled(*each))]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def test_places_out_of_range(tmp_path: Path) -> None:
    """Each of them alone would load jax2onnx's plug-ins and run the proof once more."""

    def read(i: Any) -> Any:
        row = jnp.broadcast_to(jnp.arange(6.0), (i.shape[0], 6))
        return {
            "index": TABLE[i],
            "two indices": TABLE[i, i % 3],
            "row": TABLE[i[0, 0]],
            "column": TABLE[:, i[0]],
            "take": jnp.take(TABLE, i, axis=0),
            "take clip": jnp.take(TABLE, i, axis=1, mode="clip"),
            "fill": TABLE.at[i].get(mode="fill", fill_value=-3.0),
            "fill integers": jnp.arange(7, dtype=jnp.uint8).at[i].get(mode="fill"),
            "promised": TABLE.at[i].get(mode="promise_in_bounds"),
            "along axis": jnp.take_along_axis(row, i, 1),
            "vmapped slice": jax.vmap(lambda j: lax.dynamic_index_in_dim(TABLE, j[0], 0))(i),
            "slice": lax.dynamic_slice(TABLE, (i[0, 0], i[0, 1]), (2, 2)),
            "update": lax.dynamic_update_slice(TABLE, TABLE[:2, :2] - 9, (i[0, 0], i[0, 1])),
            "set": TABLE.at[i[0, :2]].set(1.0),
            "flax": FLAX(i),
            "equinox": jax.vmap(jax.vmap(EQUINOX))(i),
        }

    equal_at(read, PLACES, (PLACES,), (BEYOND,), (BEYOND[::-1],), folder=tmp_path, static=True)


@pytest.mark.parametrize("mode", ["clip", "promise_in_bounds", "drop"])
def test_writes_out_of_range(mode: str, tmp_path: Path) -> None:
    def written(i: Any) -> Any:
        return {
            "rows": TABLE.at[i[0]].set(-1.0, mode=mode),
            "numbers": TABLE.at[i[0], i[0] % 3].add(2.0, mode=mode),
            "row": TABLE.at[i[0, 0]].mul(2.0, mode=mode),
            "least": TABLE[:, 0].at[i[0]].min(1.0, mode=mode),
            "most": TABLE[:, 0].at[i[0, :1]].max(9.0, mode=mode),
        }

    feeds = ((PLACES,), (BEYOND,), (BEYOND[::-1],))
    equal_at(written, PLACES, *feeds, folder=tmp_path, static=True)


def test_rows_and_labels_whose_number_varies(tmp_path: Path) -> None:
    x = np.arange(14, dtype=np.float32).reshape(2, 7)
    labels = np.array([1, 2], np.int32)
    feeds = [(x, np.array(pair, np.int32)) for pair in ([-8, -10], [7, 100], [-1, 6])]
    equal_at(lambda x, i: x[jnp.arange(x.shape[0]), i], (x, labels), *feeds, folder=tmp_path)
    equal_at(lambda x, i: x[i % 3], (x, labels), *feeds, folder=tmp_path / "rows")


def test_powers_of_integers_wrap(tmp_path: Path) -> None:
    feeds = np.array([[99, 100, -100, 73, 50000], [-3, 2**31 - 1, -(2**31), 1291, 0]], np.int32)
    powers = lambda i: [i**exponent for exponent in (0, 1, 2, 3, 4, 5, 7, 10)]  # noqa: E731
    equal_at(powers, NUMBERS, (feeds,), folder=tmp_path)


def test_powers_of_every_integer_wrap(tmp_path: Path) -> None:
    dtypes = (np.int8, np.uint8, np.int16, np.uint16, np.uint32, np.int32)
    feeds = np.array([[-(2**31), 2**31 - 1, 3, 100, 7]], np.int32)
    powers = lambda i: [i.astype(dtype) ** 5 for dtype in dtypes]  # noqa: E731
    equal_at(powers, NUMBERS, (feeds,), folder=tmp_path)


def test_an_exponent_that_is_an_input(tmp_path: Path) -> None:
    base = np.array([[99, -100, 7, 50000, -1]], np.int32)
    feeds = [(base, np.array([row], np.int32)) for row in ([5, 7, 31, 4, 9], [0, 1, 2, 3, 40])]
    powers = lambda i, n: (i**n, jnp.power(i, n), jnp.pow(i, n))  # noqa: E731
    equal_at(powers, (NUMBERS, NUMBERS), *feeds, folder=tmp_path)


def test_running_extremes_keep_infinities_and_nan(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    feeds = x.copy()
    feeds[0], feeds[1], feeds[2, ::3], feeds[3, 2] = np.inf, -np.inf, np.inf, np.nan
    running = lambda x: [  # noqa: E731
        extreme(x, axis=1, reverse=reverse)
        for extreme in (lax.cummax, lax.cummin)
        for reverse in (False, True)
    ]
    equal_at(running, x, (feeds,), folder=tmp_path)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_running_products(dtype: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(1, 9, (4, 7)).astype(dtype)
    products = lambda x: [  # noqa: E731
        jnp.cumprod(x, axis=1),
        lax.cumprod(x, axis=1, reverse=True),
    ]
    equal_at(products, x, (x - 5,), (x % 4,), folder=tmp_path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int32, np.int8])
def test_shifts(dtype: Any, tmp_path: Path) -> None:
    limits = np.iinfo(dtype)
    bits = np.array([[limits.max, limits.max // 2 + 1 + limits.min, limits.min, 5, 9]], dtype)
    by = [np.array([row], dtype) for row in ([1, 2, 0, 3, 7], [8, 31, 32, 33, 100])]
    shifts = (lax.shift_right_arithmetic, lax.shift_right_logical, lax.shift_left,
              jnp.right_shift, jnp.left_shift)  # fmt: skip
    sample = (NUMBERS.astype(dtype), (NUMBERS % 3).astype(dtype))
    every = lambda x, by: [shift(x, by) for shift in shifts]  # noqa: E731
    equal_at(every, sample, *((bits, each) for each in by), folder=tmp_path)


@pytest.mark.parametrize("dtype", [np.int32, np.uint8])
def test_integers_divided_by_zero_and_by_the_least(dtype: Any, tmp_path: Path) -> None:
    limits = np.iinfo(dtype)
    row = [7, limits.max, limits.min, limits.min, 0]
    least = np.array(-1).astype(dtype)
    feeds = [(np.array([row], dtype), np.array([by], dtype)) for by in ([0] * 5, [least] * 5)]
    sample = (NUMBERS.astype(dtype), (NUMBERS + 1).astype(dtype))
    every = lambda x, y: (lax.div(x, y), lax.rem(x, y), x // y, x % y, x // 3, x % 3)  # noqa: E731
    equal_at(every, sample, *feeds, folder=tmp_path)


def test_floats_divided_normalized_and_padded(tmp_path: Path) -> None:
    """jax2onnx 0.17 has no remainders for sizes that vary, and takes a norm of 0 for 1."""
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32) * 3

    def every(x: Any) -> Any:
        return {
            "remainder": x % 1.5,
            "fmod": jnp.fmod(x, 1.5),
            "divmod": jnp.divmod(x, 0.75),
            "padded": jnp.pad(x, ((0, 0), (1, 2)), mode="edge"),
            "normalized": jnp.isnan(x / jnp.linalg.norm(x, axis=1, keepdims=True)),
        }

    feeds = x.copy()
    feeds[1], feeds[2, 1], feeds[3, 2] = 0, np.nan, np.inf
    equal_at(every, x, (feeds,), folder=tmp_path)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int8])
def test_products_of_integers(dtype: Any, tmp_path: Path) -> None:
    limits = np.iinfo(dtype)
    weight = jnp.arange(15).reshape(5, 3).astype(dtype)
    every = lambda x: (x @ weight, x.T @ x, x @ weight[:, 0], x[:, None] @ weight)  # noqa: E731
    far = np.array([[limits.max, limits.min, 1, 0, limits.max // 2]], dtype)
    equal_at(every, NUMBERS.astype(dtype), (far,), (far[[0, 0, 0]],), folder=tmp_path)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_places_in_sorted_arrays(kind: Any, tmp_path: Path) -> None:
    ends = jnp.array([-1.0, 0.0, 0.0, 0.5, 2.0])
    unknown = jnp.array([-1.0, 0.0, jnp.inf, jnp.nan, jnp.nan])
    every = lambda x: [  # noqa: E731
        jnp.searchsorted(ends, x),
        jnp.searchsorted(ends, x, side="right"),
        jnp.searchsorted(unknown, x),
        jnp.searchsorted(unknown, x, side="right"),
        jnp.digitize(x, ends),
        jnp.digitize(x, ends, right=True),
        jnp.digitize(x, ends[::-1]),
    ]
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32) * 2
    ill = np.array([[0, -0.0, np.nan, np.inf, -np.inf, 0.5]], np.float32)
    feeds = [(ill,)] if kind is np.float32 else [(np.full((3, 6), -1, np.int32),)]
    equal_at(every, x.astype(kind), *feeds, folder=tmp_path)
