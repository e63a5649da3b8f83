"""Interpolation in tables, the error function, and the inverse of the normal distribution."""

from __future__ import annotations

from math import factorial

import numpy as np

from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.signature import Array

_CENTRAL = (
    (
        2509.0809287301226727, 33430.575583588128105, 67265.770927008700853,
        45921.953931549871457, 13731.693765509461125, 1971.5909503065514427,
        133.14166789178437745, 3.387132872796366608,
    ),
    (
        5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
        5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0,
    ),
)  # fmt: skip
_MIDDLE = (
    (
        7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
        1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
        4.6303378461565452959, 1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
        0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
        2.05319162663775882187, 1.0,
    ),
)  # fmt: skip
_FAR = (
    (
        2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
        0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358,
        5.4637849111641143699, 6.6579046435011037772,
    ),
    (
        2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
        7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531,
        0.59983220655588793769, 1.0,
    ),
)  # fmt: skip
"""The rational functions of M. J. Wichura, Algorithm AS 241 (1988), highest power first."""


def interp_columns(x: Tensor, points: Array, values: Array) -> Tensor:
    """Return ``numpy.interp`` of each column with a table of its own, float64 [batch, features].

    Args:
        x: float64 [batch, features].
        points: [size, features], ascending; a single column can serve all features.
        values: [size] or [size, features].
    """
    graph = x.graph
    size, features = points.shape
    values = np.broadcast_to(values if values.ndim == 2 else values[:, None], points.shape)
    if size == 1:
        return n.where(n.isnan(x), x, x * 0.0 + values[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = np.diff(values, axis=0) / np.diff(points, axis=0)
    reached = n.unsqueeze(x, 2) >= graph.constant(points.T[None])
    below = n.total(reached.cast("int32"), 2).cast("int64") - 1
    inside = n.clip(below, 0, size - 2)
    at = inside + np.arange(features) * (size - 1)
    left, start, slope = (
        n.take(graph, np.ascontiguousarray(table.T).ravel(), at)
        for table in (points[:-1], values[:-1], slopes)
    )
    found = (x - left) * slope + start
    found = n.where(x >= points[-1], values[-1], found)
    found = n.where(x < points[0], values[0], found)
    return n.where(n.isnan(x), x, found)


def normal_cdf_inverse(p: Tensor) -> Tensor:
    """Return the normal distribution's quantile at ``p``, limited to ±5.2 as in scikit-learn."""
    from scipy.special import ndtri

    bound = 1e-7 - np.spacing(1)
    low, high = float(ndtri(bound)), float(ndtri(1 - bound))
    q = p - 0.5
    central = q * _rational(_CENTRAL, 0.180625 - q * q)
    tail = n.where(q < 0.0, p, 1.0 - p)
    kept = n.where(tail > 0.0, tail, 0.5)
    r = n.sqrt(-n.log(kept))
    middle, far = _rational(_MIDDLE, r - 1.6), _rational(_FAR, r - 5.0)
    size = n.where(r <= 5.0, middle, far)
    outer = n.where(q < 0.0, -size, size)
    found = n.where(n.absolute(q) <= 0.425, central, outer)
    found = n.where(p <= bound, low, found)
    return n.where(p >= 1 - bound, high, found)


def _rational(parts: tuple[tuple[float, ...], tuple[float, ...]], x: Tensor) -> Tensor:
    top, bottom = (_polynomial(coefficients, x) for coefficients in parts)
    return top / bottom


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    found = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        found = found * x + coefficient
    return found


ERF_BINS, ERF_END = 64, 8.0
"""``erf`` is one polynomial in each of ``ERF_BINS`` equal intervals from 0 to ``ERF_END``."""


def erf(x: Tensor) -> Tensor:
    """Return the error function in float64; ONNX Runtime's own ``Erf`` supports only float32."""
    graph = x.graph
    size = n.absolute(x)
    width = ERF_END / ERF_BINS
    at = n.clip(n.floor(size / width), 0.0, float(ERF_BINS - 1)).cast("int64")
    middle = (at.cast("float64") + 0.5) * width
    offset = n.minimum(size, ERF_END) - middle
    tables = _erf_polynomials(width)
    found = n.take(graph, tables[:, 0], at)
    for power in range(1, tables.shape[1]):
        found = found * offset + n.take(graph, tables[:, power], at)
    return n.where(size < 0.1, _small_erf(x), found * n.sign(x))


def _small_erf(x: Tensor) -> Tensor:
    """Return the error function by its power series, which keeps the digits of small values."""
    square = x * x
    found = square * 0.0
    for term in range(7, -1, -1):
        found = found * square + (-1.0) ** term / (factorial(term) * (2 * term + 1))
    return x * found * float(2 / np.sqrt(np.pi))


def _erf_polynomials(width: float) -> Array:
    """Return the coefficients of each interval's polynomial, highest power first.

    The variable of a polynomial is the distance from the middle of its interval.
    """
    from scipy import special

    half = width / 2
    nodes = half * np.cos(np.pi * (np.arange(12) + 0.5) / 12)
    middles = (np.arange(ERF_BINS) + 0.5) * width
    return np.array([np.polyfit(nodes, special.erf(middle + nodes), 11) for middle in middles])
