"""Features made of features: polynomials and splines."""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np

from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family
from onnxpack.exporters.sklearn.tensor import Tensor


class Polynomial(Family):
    """Products of features."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """One column a product."""
        x = n.floats(x)
        rows = n.concat([x, n.repeated(x, np.ones(1, x.dtype))])
        powers = np.asarray(model.powers_)
        degree = int(powers.sum(axis=1).max(initial=0))
        if degree == 0:
            return n.repeated(x, np.ones(len(powers), x.dtype))
        factors = np.full((len(powers), degree), powers.shape[1])
        for row, power in zip(factors, powers, strict=True):
            own = np.repeat(np.arange(len(power)), power)
            row[: len(own)] = own
        found = n.gather(rows, factors[:, 0], axis=1)
        for turn in range(1, degree):
            found = found * n.gather(rows, factors[:, turn], axis=1)
        return found


class Spline(Family):
    """B-splines: a polynomial between each two knots."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """One column a spline of each feature."""
        x = n.floats(x)
        parts = [
            _splines(model, spline, n.column(x, i).cast("float64"), first=i == 0)
            for i, spline in enumerate(model.bsplines_)
        ]
        if getattr(model, "handle_missing", "error") == "zeros":
            parts = [n.where(n.isnan(n.column(x, i)), 0.0, part) for i, part in enumerate(parts)]
        if not model.include_bias:
            kept = np.arange(model.bsplines_[0].c.shape[1] - 1)
            parts = [n.gather(part, kept, axis=1) for part in parts]
        return n.concat(parts).cast(x.dtype)


def _splines(model: Any, spline: Any, x: Tensor, *, first: bool) -> Tensor:
    """Every spline of one feature, [batch, splines].

    Args:
        first: whether it is the first feature: after it, scikit-learn takes lines for parabolas
            when it looks for the knots beyond which it extends them.
    """
    raised = model.extrapolation == "linear" and model.degree <= 1 and not first
    edge = spline.k + raised
    low, high = float(spline.t[edge]), float(spline.t[-edge - 1])
    if model.extrapolation == "continue":
        return _evaluated(spline, x)
    if model.extrapolation == "periodic":
        period = high - low
        turns = n.floor((x - low) / period) if period > 0 else x * 0.0
        return _evaluated(spline, x - turns * period if period > 0 else x * 0.0)
    inside = n.clip(x, low, high)
    found = _evaluated(spline, inside)
    if model.extrapolation != "linear":
        return found
    rise, fall = spline(low, nu=1).copy(), spline(high, nu=1).copy()
    kept = max(model.degree, 2)
    rise[kept:], fall[: len(fall) - kept] = 0, 0
    below, above = n.minimum(x - low, 0.0), n.maximum(x - high, 0.0)
    return found + below * rise[None] + above * fall[None]


def _evaluated(spline: Any, x: Tensor) -> Tensor:
    """By the polynomial of the interval that holds ``x``; beyond the knots the outermost."""
    graph = x.graph
    knots = np.unique(spline.t[spline.k : len(spline.t) - spline.k])
    starts = knots[:-1] if len(knots) > 1 else knots
    at = n.total(x >= starts[None, 1:]) if len(starts) > 1 else n.flat(x * 0.0).cast("int64")
    offset = x - n.as_column(n.take(graph, starts, at))
    tables = [spline(starts, nu=power) / factorial(power) for power in range(spline.k + 1)]
    found = n.take(graph, tables[-1], at)
    for table in reversed(tables[:-1]):
        found = found * offset + n.take(graph, table, at)
    return found


FAMILIES: dict[str, Family] = {
    "PolynomialFeatures": Polynomial(),
    "SplineTransformer": Spline(),
}
