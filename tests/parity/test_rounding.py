"""In an extreme case only what rounding does not decide is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from onnxpack.comparison.tolerance import Tolerance
from onnxpack.parity.rounding import nudged, without_undecided

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
Formula = Callable[[Any], Any]


def judged(formula: Formula, graph: Formula, x: Any) -> tuple[bool, str]:
    """Whether the graph's answer is equal in what is decided, and the reason that is recorded."""
    with np.errstate(all="ignore"):
        expected = formula(x)
        witnesses = [{"y": formula(each.astype(np.float64))} for each in (x, nudged({"x": x})["x"])]
        actual = graph(x)
    found, reasons = without_undecided({"y": expected}, witnesses, {"y": actual}, Tolerance())
    equal = np.allclose(found["y"], expected, rtol=1e-3, atol=1e-6, equal_nan=True)
    return bool(equal), reasons.get("y", "")


def normalised(x: Any) -> Any:
    mean = x.mean(axis=1, keepdims=True)
    return (x - mean) / np.sqrt(x.var(axis=1, keepdims=True) + np.asarray(1e-5, x.dtype))


def twice_sine(x: Any) -> Any:
    return np.sin(x * np.asarray(1e5 / 3, x.dtype))


@pytest.mark.parametrize(
    ("formula", "graph", "x"),
    [
        (normalised, lambda x: normalised(x) + np.float32(2e-5), np.full((4, 6), 7.7, np.float32)),
        (twice_sine, lambda x: np.sin(x / np.float32(3) * np.float32(1e5)), X * 1e4),
        (lambda x: np.exp(x * x) / np.exp(x * x), np.ones_like, X * np.float32(9)),
    ],
    ids=["variance of nothing", "sine", "overflow"],
)
def test_what_rounding_decides_is_not_compared(formula: Formula, graph: Formula, x: Any) -> None:
    equal, reason = judged(formula, graph, x)
    assert equal
    assert "elements were not compared: rounding decides them" in reason


def logaddexp(x: Any) -> Any:
    return np.logaddexp(x, -x)


@pytest.mark.parametrize(
    ("formula", "graph", "x"),
    [
        (logaddexp, lambda x: np.log(np.exp(x) + np.exp(-x)), X * np.float32(300)),
        (normalised, lambda x: normalised(x) * np.float32(1.1), X * np.float32(1e4)),
        (lambda x: np.floor(x), lambda x: np.trunc(x), X * np.float32(-30)),
        (lambda x: x.argmax(axis=1), lambda x: x.argmin(axis=1), X * np.float32(1e4)),
        (lambda x: x, lambda x: np.where(x > 9e3, np.nan, x).astype("f4"), X * np.float32(1e4)),
        (twice_sine, lambda x: twice_sine(x) + 20, X * np.float32(1e4)),
    ],
)
def test_what_is_decided_is_compared(formula: Formula, graph: Formula, x: Any) -> None:
    equal, _ = judged(formula, graph, x)
    assert not equal


def test_other_shapes_in_float64_decide_nothing() -> None:
    wide = [{"y": X[:2].astype(np.float64)}]
    found, reasons = without_undecided({"y": X}, wide, {"y": X + 1}, Tolerance())
    np.testing.assert_array_equal(found["y"], X)
    assert reasons["y"].startswith("24 of 24 elements")


def test_inputs_are_moved_by_their_last_bit() -> None:
    found = nudged({"x": X, "zero": np.zeros(3, np.float32), "ids": np.arange(3)})
    assert (found["x"] != X).all()
    np.testing.assert_allclose(found["x"], X, rtol=2e-7)
    np.testing.assert_array_equal(found["zero"], 0)
    np.testing.assert_array_equal(found["ids"], np.arange(3))
    assert found["x"].dtype == np.float32
