"""Distances and kernels between the rows of a batch and points that a model keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.signature import Array

EUCLIDEAN = {"euclidean", "l2"}


def dense(points: Any) -> Array:
    """Return a model's points as a dense array, even if it was fitted with sparse rows."""
    return np.asarray(points.toarray() if hasattr(points, "toarray") else points)


def between(
    x: Tensor,
    points: Array,
    metric: Any,
    power: float = 2,
    settings: Mapping[str, Any] | None = None,
) -> Tensor:
    """Return the distances between rows and points by the name of a metric, [batch, points].

    Args:
        power: the exponent of ``minkowski``.
        settings: other parameters of the metric by scikit-learn's names: ``w``, ``V``, ``VI``.

    Raises:
        ExportError: the metric is not supported.
    """
    given = {key: value for key, value in (settings or {}).items() if value is not None}
    if given:
        return _weighed(x, points, metric, power, given)
    if metric in EUCLIDEAN or (metric == "minkowski" and power == 2):
        return n.sqrt(squares_in_order(x, points))
    if metric == "sqeuclidean":
        return squares_in_order(x, points)
    if metric == "cosine":
        return 1.0 - _unit(x) @ _unit_rows(points).T
    gap = n.absolute(n.unsqueeze(x, 1) - points[None])
    if metric == "minkowski" and power != 1:
        return n.total(gap ** float(power), 2) ** float(1.0 / power)
    return _by_gaps("manhattan" if metric == "minkowski" else metric, gap, x, points)


def _by_gaps(metric: Any, gap: Tensor, x: Tensor, points: Array) -> Tensor:
    """Return distances that are sums or maxima over features of the absolute differences."""
    if metric in {"manhattan", "l1", "cityblock"}:
        return n.total(gap, 2)
    if metric in {"chebyshev", "infinity"}:
        return n.largest(gap, 2)
    if metric == "hamming":
        return n.mean((~n.equal(gap, 0.0)).cast("float64"), 2)
    both = n.absolute(n.unsqueeze(x, 1)) + np.abs(points)[None]
    if metric == "braycurtis":
        return n.total(gap, 2) / n.total(both, 2)
    if metric == "canberra":
        return n.total(gap / n.where(n.equal(both, 0.0), 1.0, both), 2)
    raise _unwritten(metric)


def _weighed(
    x: Tensor, points: Array, metric: Any, power: float, settings: Mapping[str, Any]
) -> Tensor:
    """Return distances in which features have different weights."""
    apart = n.unsqueeze(x, 1) - points[None]
    if metric == "seuclidean":
        return n.sqrt(n.total(apart * apart / np.asarray(settings["V"], np.float64), 2))
    if metric == "mahalanobis" and "VI" in settings:
        return n.sqrt(n.total(apart @ np.asarray(settings["VI"], np.float64) * apart, 2))
    if "w" in settings and (metric in EUCLIDEAN or metric == "minkowski"):
        weighed = n.absolute(apart) ** float(power) * np.asarray(settings["w"], np.float64)
        return n.total(weighed, 2) ** float(1.0 / power)
    raise _unwritten(metric)


def _unwritten(metric: Any) -> ExportError:
    named = repr(metric) if isinstance(metric, str) else "that is a custom function"
    return ExportError(f"the metric {named} is not supported")


def squares_in_order(x: Tensor, points: Array) -> Tensor:
    """Return squared distances, [batch, points], summed feature by feature as compiled code does.

    Equal distances then stay equal to the last bit, and unequal ones keep their order.
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


@dataclass(frozen=True, slots=True)
class _Kernel:
    """The arguments of a kernel function."""

    x: Tensor
    points: Array
    gamma: float
    degree: float
    coef0: float

    def product(self) -> Tensor:
        """Return the product of rows and points, scaled by ``gamma`` and shifted by ``coef0``."""
        return self.x @ self.points.T * self.gamma + self.coef0


_KERNELS: Mapping[str, Callable[[_Kernel], Tensor]] = {
    "additive_chi2": lambda k: _additive_chi2(k.x, k.points),
    "chi2": lambda k: n.exp(_additive_chi2(k.x, k.points) * k.gamma),
    "cosine": lambda k: 1.0 - between(k.x, k.points, "cosine"),
    "laplacian": lambda k: n.exp(between(k.x, k.points, "l1") * -k.gamma),
    "linear": lambda k: k.x @ k.points.T,
    "poly": lambda k: k.product() ** k.degree,
    "polynomial": lambda k: k.product() ** k.degree,
    "precomputed": lambda k: k.x,
    "rbf": lambda k: n.exp(_squares(k.x, k.points) * -k.gamma),
    "sigmoid": lambda k: n.tanh(k.product()),
}


def kernel_matrix(x: Tensor, points: Any, name: Any, settings: Mapping[str, Any]) -> Tensor:
    """Return the kernel between rows and points, [batch, points].

    Args:
        name: the kernel's name in ``sklearn.metrics.pairwise``.
        settings: ``gamma``, ``degree`` and ``coef0``; None means scikit-learn's default.

    Raises:
        ExportError: the kernel is a function of the user's, or is not supported.
    """
    points = dense(points)
    if not isinstance(name, str) or name not in _KERNELS:
        raise ExportError(f"the kernel {name!r} is not supported")
    default = {"gamma": 1.0 if name == "chi2" else 1.0 / points.shape[1], "degree": 3, "coef0": 1}
    given = {key: float(_or(settings.get(key), value)) for key, value in default.items()}
    return _KERNELS[name](_Kernel(n.floats(x), points, **given))


def _or(value: Any, default: float) -> Any:
    return default if value is None else value


def _squares(x: Tensor, points: Array) -> Tensor:
    """Return squared distances, summed in float64 and rounded to the common dtype of both."""
    dtype = np.result_type(np.dtype(x.dtype), points.dtype).name
    return n.squared_distances(x.cast("float64"), points.astype(np.float64)).cast(dtype)


def _additive_chi2(x: Tensor, points: Array) -> Tensor:
    row = n.unsqueeze(x, 1)
    gap, both = row - points[None], row + points[None]
    return -n.total(gap * gap / n.where(n.equal(both, 0.0), 1.0, both), 2)
