"""What a function decides while its sizes are symbols, which a graph would lose."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import onnxpack
from onnxpack.errors import ExportError

X = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
TABLE = {300: 0.5, 24: 0.25}


@dataclass(frozen=True)
class Shape:
    rows: Any


def caught(x: Any) -> Any:
    try:
        large = x.shape[0] > 300
    except Exception:  # noqa: BLE001 - as users write it
        large = False
    return (x / 2 if large else x) @ W


def of_a_class(x: Any) -> Any:
    if isinstance(x.shape[0], int) and x.shape[0] > 300:
        x = x / 2
    return x @ W


def by_type(x: Any) -> Any:
    return (x / 2 if type(x.shape[0]) is int and x.shape[0] == 300 else x) @ W


def matched(x: Any) -> Any:
    match x.shape:
        case (int(rows), _) if rows > 200:
            return x @ W / 2
    return x @ W


SIZES: dict[str, Callable[[Any], Any]] = {
    "a float": lambda x: (x / 2 if x.shape[0] == 300.0 else x) @ W,
    "of numpy's": lambda x: (x / 2 if x.shape[0] == np.int64(300) else x) @ W,
    "true": lambda x: (x if x.shape[0] - 300 else x / 2) @ W,
    "not true": lambda x: (x if x.shape[0] % 100 else x / 2) @ W,
    "by type": by_type,
    "matched": matched,
    "of numpy": lambda x: (x / 2 if np.array_equal(x.shape, (300, 4)) else x) @ W,
    "in an array": lambda x: (x / 2 if np.isin(300, x.shape) else x) @ W,
    "a set": lambda x: (x / 2 if len(set(x.shape)) == 1 else x) @ W,
    "sets": lambda x: (x / 2 if {300} & {*x.shape} else x) @ W,
    "counted": lambda x: (x / 2 if Counter(x.shape)[300] else x) @ W,
    "equal": lambda x: (x / 2 if x.shape[0] == 300 else x) @ W,
    "not equal": lambda x: (x / 2 if x.shape[0] != 3 else x) @ W,
    "one of two": lambda x: (x / 2 if x.shape[0] in (300, 301) else x) @ W,
    "looked up": lambda x: x * TABLE.get(x.shape[0], 1.0) @ W,
    "member": lambda x: (x / 2 if x.shape[0] in {300, 301} else x) @ W,
    "remainder": lambda x: (x / 2 if x.shape[0] % 100 == 0 else x) @ W,
    "number of elements": lambda x: (x / 2 if x.size == 1200 else x) @ W,
    "shape": lambda x: (x / 2 if x.shape == (300, 4) else x) @ W,
    "bytes": lambda x: (x / 2 if x.nbytes == 4800 else x) @ W,
    "square": lambda x: (x / 2 if x.shape[0] == x.shape[1] else x) @ W,
    "text": lambda x: (x / 2 if str(x.shape[0]) == "300" else x) @ W,
    "formatted": lambda x: (x / 2 if f"{x.shape}" == "(300, 4)" else x) @ W,
    "in a dataclass": lambda x: (x / 2 if Shape(x.shape[0]) == Shape(300) else x) @ W,
}


@pytest.mark.parametrize("function", SIZES.values(), ids=SIZES)
def test_a_function_that_decides_by_a_size_is_refused(
    function: Callable[[Any], Any], tmp_path: Path
) -> None:
    with pytest.raises(
        ExportError, match=r"Python code depends on a dynamic size at test_watch\.py"
    ) as error:
        onnxpack.export(jax.jit(function), X, tmp_path / "pack")
    assert (
        "likely cause: Python code in the function depends on a dynamic size" in error.value.message
    )
    fixed = onnxpack.export(jax.jit(function), X, tmp_path / "fixed", static=True)
    np.testing.assert_allclose(onnxpack.Model(fixed)(X), function(X), rtol=1e-5)


def asks(x: Any) -> Any:
    return (x / 2 if isinstance(x, jax.core.Tracer) else x) @ W


def asks_for_type(x: Any) -> Any:
    return (x / 2 if "Tracer" in type(x).__name__ else x) @ W


class Asks(eqx.Module):
    w: jax.Array

    def __call__(self, x: Any) -> Any:
        if not isinstance(x, jax.core.Tracer) and bool((x == -999).any()):
            x = jnp.where(x == -999, 0.0, x)
        return x @ self.w


class Catches(eqx.Module):
    w: jax.Array

    def __call__(self, x: Any) -> Any:
        try:
            if bool((x == -999).any()):
                x = jnp.where(x == -999, 0.0, x)
        except jax.errors.ConcretizationTypeError:
            pass
        return x @ self.w


class AsksInFlax(nnx.Module):
    def __init__(self) -> None:
        self.w = nnx.Param(jnp.asarray(W))

    def __call__(self, x: Any) -> Any:
        if not isinstance(x, jax.core.Tracer) and bool((x == -999).any()):
            x = jnp.where(x == -999, 0.0, x)
        return x @ self.w[...]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Asks(jnp.asarray(W)), "Python code in the function depends on an array's values"),
        (AsksInFlax(), "Python code in the function depends on an array's values"),
        (jax.jit(asks), r"the function asks whether it is being traced at test_watch\.py"),
        (jax.jit(asks_for_type), r"the function asks whether it is being traced at test_watch\.py"),
        (Catches(jnp.asarray(W)), r"a JAX error is caught at test_watch\.py"),
        (jax.jit(caught), r"a JAX error is caught at test_watch\.py"),
        (jax.jit(of_a_class), "Python code in the function depends on a dynamic size"),
    ],
    ids=["equinox", "flax", "jit", "type", "caught value", "caught size", "class of a size"],
)
def test_what_only_a_tracer_sees_is_refused(model: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=said):
        onnxpack.export(model, X, tmp_path / "pack")


@functools.lru_cache
def positions(size: Any) -> Any:
    return np.full(4, 0.25, np.float32)


@functools.partial(jax.jit, static_argnames="rows")
def scaled(x: Any, rows: Any) -> Any:
    return x / rows


def checked(x: Any) -> Any:
    assert x.shape[0] != 0
    assert x.shape[0] not in (None, "all", (), 0.5)
    assert x.shape[1] == 4
    assert isinstance(x, jax.Array)
    if x.shape[0] == x.shape[0] and isinstance(x.shape, tuple):
        x = scaled(x, x.shape[0])
    return (x + positions(x.shape[0])).reshape(x.shape[0], -1) @ W


def test_questions_that_have_one_answer_are_no_decisions(tmp_path: Path) -> None:
    pack = onnxpack.export(jax.jit(checked), X, tmp_path / "pack")
    x = np.resize(X, (7, 4))
    wanted = checked(jnp.asarray(x))
    np.testing.assert_allclose(onnxpack.Model(pack)(x), wanted, rtol=1e-4, atol=1e-6)
    assert "isinstance" not in globals()


def test_an_error_that_ends_the_function_is_no_decision(tmp_path: Path) -> None:
    @jax.jit
    def function(x: Any) -> Any:
        try:
            return x @ W
        except TypeError as exc:
            raise ValueError("4 columns are expected") from exc

    pack = onnxpack.export(function, X, tmp_path / "pack")
    np.testing.assert_allclose(onnxpack.Model(pack)(X), X @ W, rtol=1e-5)
