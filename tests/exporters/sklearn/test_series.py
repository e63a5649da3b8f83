"""Splines beside their knots, where they are next to nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import SplineTransformer

import onnxpack

X = np.random.default_rng(0).normal(size=(200, 4))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"degree": 1},
        {"degree": 2, "knots": "quantile"},
        {"degree": 5, "include_bias": False},
        {"extrapolation": "linear"},
        {"extrapolation": "continue"},
        {"extrapolation": "periodic"},
    ],
    ids=str,
)
def test_splines(check: Any, options: dict[str, Any], dtype: str) -> None:
    x = X.astype(dtype)
    check.proven(SplineTransformer(**options).fit(x), x[:30], np.concatenate([x, x * 2]))


def test_a_spline_keeps_its_digits_beside_a_knot(check: Any) -> None:
    model = SplineTransformer().fit(X)
    knots = model.bsplines_[0].t
    near = np.repeat((knots[3:-4] + 1e-6)[:, None], 4, axis=1)
    pack = onnxpack.export(model, X[:30], check.folder / "pack")
    found = onnxpack.Model(pack, provider="cpu").run({"X": near})["transformed"]
    np.testing.assert_allclose(found, model.transform(near), rtol=1e-6)
