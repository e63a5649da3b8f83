"""Distances and kernels between the rows of a batch and points that a model keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.signature import Array

EUCLIDEAN = {"euclidean", "l2"}


def between(x: Tensor, points: Array, metric: Any, power: float = 2) -> Tensor:
    """Distances to points, by the name of a metric."""
    if metric in EUCLIDEAN or (metric == "minkowski" and power == 2):
        return n.sqrt(squares_in_order(x, points))
    gap = n.absolute(n.unsqueeze(x, 1) - points[None])
    if metric in {"manhattan", "l1", "cityblock"} or (metric == "minkowski" and power == 1):
        return n.total(gap, 2)
    if metric in {"chebyshev", "infinity"}:
        return n.largest(gap, 2)
    if metric == "minkowski":
        return n.total(gap ** float(power), 2) ** float(1.0 / power)
    if metric == "cosine":
        return 1.0 - _unit(x) @ _unit_rows(points).T
    raise ExportError(f"the metric {metric!r} is not written")


def squares_in_order(x: Tensor, points: Array) -> Tensor:
    """Squared distances, summed feature after feature as compiled code does.

    So equal distances stay equal to the last bit, and unequal ones keep their order.
    """
    found: Tensor | None = None
    for at in range(points.shape[1]):
        gap = n.column(x, at) - points[None, :, at]
        found = gap * gap if found is None else found + gap * gap
    assert found is not None  # noqa: S101 - a fitted model has a feature
    return found


def _unit(x: Tensor) -> Tensor:
    size = n.sqrt(n.total(x * x, keepdims=True))
    return x / n.where(n.equal(size, 0.0), 1.0, size)


def _unit_rows(points: Array) -> Array:
    size = np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(points / np.where(size == 0, 1, size))


def kernel_matrix(x: Tensor, points: Any, name: Any, settings: dict[str, Any]) -> Tensor:
    """A kernel between rows and points, by its name in ``sklearn.metrics.pairwise``.

    Raises:
        ExportError: it is a function of the user's, or not one that is written.
    """
    if not isinstance(points, np.ndarray):
        raise ExportError("it was fitted with sparse rows")
    gamma = settings.get("gamma")
    if gamma is None:
        gamma = 1.0 if name == "chi2" else 1.0 / points.shape[1]
    degree, coef0 = settings.get("degree"), settings.get("coef0")
    degree, coef0 = 3 if degree is None else degree, 1 if coef0 is None else coef0
    if name == "precomputed":
        return n.floats(x)
    if name == "linear":
        return n.floats(x) @ points.T
    if name in ("poly", "polynomial"):
        return (n.floats(x) @ points.T * float(gamma) + float(coef0)) ** float(degree)
    if name == "sigmoid":
        return n.tanh(n.floats(x) @ points.T * float(gamma) + float(coef0))
    if name == "cosine":
        return 1.0 - between(x.cast("float64"), points.astype(np.float64), "cosine")
    if name == "rbf":
        return n.exp(_squares(x, points) * -float(gamma))
    if name == "laplacian":
        return n.exp(between(n.floats(x), points, "l1") * -float(gamma))
    if name == "chi2":
        return n.exp(_additive_chi2(n.floats(x), points) * float(gamma))
    if name == "additive_chi2":
        return _additive_chi2(n.floats(x), points)
    raise ExportError(f"the kernel {name!r} is not written")


def _squares(x: Tensor, points: Array) -> Tensor:
    """Squared distances, summed in float64 and rounded to the dtype that both have."""
    dtype = np.result_type(np.dtype(n.floats(x).dtype), points.dtype).name
    return n.squared_distances(x.cast("float64"), points.astype(np.float64)).cast(dtype)


def _additive_chi2(x: Tensor, points: Array) -> Tensor:
    row = n.unsqueeze(x, 1)
    gap, both = row - points[None], row + points[None]
    return -n.total(gap * gap / n.where(n.equal(both, 0.0), 1.0, both), 2)
