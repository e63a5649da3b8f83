"""Converters of polynomial features and splines."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family
from onnxpack.exporters.sklearn.families.ensemble import summed
from onnxpack.exporters.sklearn.tensor import Tensor


class Polynomial(Family):
    """Converts ``PolynomialFeatures``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the products of features, [batch, products]."""
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
    """Converts ``SplineTransformer``: B-splines, which are polynomials between two knots."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the values of all splines of all features, [batch, features × splines]."""
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
    """Return the values of every spline of one feature, [batch, splines].

    Args:
        first: whether this is the first feature. scikit-learn adds 1 to a degree of at most 1 in
            its loop over features, so it extrapolates later features from other knots.
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
    """Return every spline at ``x``; outside the knots, the polynomial of the outermost interval.

    De Boor's recursion is used, as in SciPy. It adds products that are not negative, so a spline
    that is almost 0 beside a knot keeps its digits. The terms of a polynomial would cancel there.
    """
    graph, degree = x.graph, spline.k
    knots = np.unique(spline.t[degree : len(spline.t) - degree])
    starts = knots[:-1] if len(knots) > 1 else knots
    at = n.total(x >= starts[None, 1:]) if len(starts) > 1 else n.flat(x * 0.0).cast("int64")
    last = len(spline.t) - degree - 2
    places = np.minimum(np.searchsorted(spline.t, starts, side="right") - 1, last)

    def knot(offset: int) -> Tensor:
        return n.as_column(n.take(graph, spline.t[places + offset], at))

    found = [x * 0.0 + 1.0]
    for order in range(1, degree + 1):
        raised: list[Tensor] = []
        carried: Tensor | None = None
        for turn, own in enumerate(found, 1):
            right, left = knot(turn), knot(turn - order)
            width = right - left
            share = n.where(
                n.equal(width, 0.0), 0.0, own / n.where(n.equal(width, 0.0), 1.0, width)
            )
            falling = share * (right - x)
            raised.append(falling if carried is None else carried + falling)
            carried = share * (x - left)
        found = [*raised, carried] if carried is not None else raised
    weights = [n.take(graph, spline.c[places - degree + turn], at) for turn in range(degree + 1)]
    parts = [own * weight for own, weight in zip(found, weights, strict=True)]
    return summed(parts)


FAMILIES: dict[str, Family] = {
    "PolynomialFeatures": Polynomial(),
    "SplineTransformer": Spline(),
}
