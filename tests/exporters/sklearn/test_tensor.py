"""Tensors of a graph calculate as numpy's arrays do, in dtype and in value."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.interpolate import erf, interp_columns, normal_cdf_inverse
from onnxpack.exporters.sklearn.tensor import Graph, Tensor
from onnxpack.runtime.model import Model

DTYPES = ["bool", "int32", "int64", "float32", "float64"]
VALUES = np.array([[0, 1, 1], [1, 0, 1]])


def run(folder: Path, array: Any, make: Callable[[Tensor], Tensor]) -> Any:
    graph = Graph(18)
    dtype = "str" if array.dtype == object else array.dtype.name
    x = graph.input("x", dtype, [None] * array.ndim)
    path = folder / "graph.onnx"
    graph.save(path, {"y": make(x)})
    return Model(path, provider="cpu").run({"x": array})["y"]


@pytest.mark.parametrize("other", [*DTYPES, 2, 0.5])
@pytest.mark.parametrize("own", DTYPES[1:])
@pytest.mark.parametrize("kind", ["add", "mul", "truediv", "lt", "ge"])
def test_dtypes(tmp_path: Path, kind: str, own: str, other: Any) -> None:
    function = getattr(operator, kind)
    left = VALUES.astype(own)
    right = np.array([[1, 1, 1]]).astype(other) if isinstance(other, str) else other
    expected = function(left, right)
    found = run(tmp_path, left, lambda x: function(x, right))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_an_array_to_the_left(tmp_path: Path) -> None:
    left = np.array([[3.0, 2.0, 1.0]])
    found = run(tmp_path, VALUES.astype("float32"), lambda x: left - x)
    np.testing.assert_array_equal(found, left - VALUES)
    assert found.dtype == np.float64


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (n.expit, special.expit),
        (n.log1p, np.log1p),
        (n.expm1, np.expm1),
        (erf, special.erf),
        (n.tanh, np.tanh),
    ],
)
def test_small_and_large(tmp_path: Path, ours: Any, theirs: Any) -> None:
    sizes = np.geomspace(1e-300, 600, 4000)
    values = np.concatenate([-sizes, [0.0], sizes])
    values = values[values > -1] if theirs is np.log1p else values
    np.testing.assert_allclose(run(tmp_path, values, ours), theirs(values), rtol=1e-12, atol=0)


def test_quantiles_of_the_normal_distribution(tmp_path: Path) -> None:
    shares = np.concatenate([np.geomspace(1e-6, 0.5, 500), 1 - np.geomspace(1e-6, 0.5, 500)])
    found = run(tmp_path, shares, normal_cdf_inverse)
    np.testing.assert_allclose(found, stats.norm.ppf(shares), rtol=1e-13, atol=1e-13)
    ends = run(tmp_path, np.array([0.0, 1.0]), normal_cdf_inverse)
    np.testing.assert_allclose(ends, [-5.19933758, 5.19933758])


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(st.integers(-5, 5), min_size=1, max_size=6).map(sorted),
    values=st.lists(st.floats(-4, 4, allow_nan=False), min_size=6, max_size=6),
    data=st.lists(st.floats(-7, 7) | st.integers(-6, 6).map(float), min_size=1, max_size=8),
)
def test_interpolation(
    tmp_path_factory: pytest.TempPathFactory,
    points: list[int],
    values: list[float],
    data: list[float],
) -> None:
    table = np.array(points, float)
    heights = np.sort(values[: len(table)])
    x = np.array(data)[:, None]
    found = run(
        tmp_path_factory.mktemp("graph"), x, lambda t: interp_columns(t, table[:, None], heights)
    )
    expected = np.interp(x[:, 0], table, heights)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12, atol=1e-12)


def test_texts_are_held_against_known_ones(tmp_path: Path) -> None:
    x = np.array([["a"], ["ü"], ["other"], [""]], object)
    found = run(tmp_path, x, lambda t: n.equal(t, np.array([["ü", "a", "ü"]], object)))
    np.testing.assert_array_equal(found, x == np.array([["ü", "a", "ü"]], object))


def test_texts_are_not_held_against_unknown_ones() -> None:
    x = Graph(18).input("x", "str", ["batch"])
    with pytest.raises(TypeError):
        x.equals(x)


def test_steps_end_where_they_say(tmp_path: Path) -> None:
    def halved(x: Any) -> Any:
        return x.graph.loop(
            9, x, lambda state: (state * 0.5, n.squeeze(n.largest(state, 0, keepdims=True), 0) > 1)
        )

    np.testing.assert_array_equal(run(tmp_path, np.array([8.0, 1.0]), halved), [0.5, 0.0625])
    np.testing.assert_array_equal(run(tmp_path, np.array([1e9]), halved), [1e9 / 2**9])
