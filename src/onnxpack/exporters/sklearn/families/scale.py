"""Converters of scalers and of transformations that work on single features."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, private
from onnxpack.exporters.sklearn.interpolate import erf, interp_columns, normal_cdf_inverse
from onnxpack.exporters.sklearn.tensor import Tensor

BOUNDS_THRESHOLD = 1e-7
"""Values this close to the first or last quantile count as that quantile in a normal output."""


class StandardScaler(Family):
    """Converts ``StandardScaler``, with every step rounded to the dtype of the rows."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows scaled to zero mean and unit variance."""
        x = n.floats(x)
        if model.with_mean:
            x = x - model.mean_.astype(x.dtype)
        return x / model.scale_.astype(x.dtype) if model.with_std else x

    def inverse_transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows on their original scale."""
        x = n.floats(x)
        if model.with_std:
            x = x * model.scale_.astype(x.dtype)
        return x + model.mean_.astype(x.dtype) if model.with_mean else x


class MinMaxScaler(Family):
    """Converts ``MinMaxScaler``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows scaled to the model's range."""
        x = n.floats(x)
        x = (x * model.scale_).cast(x.dtype)
        x = (x + model.min_).cast(x.dtype)
        if not model.clip:
            return x
        low, high = np.asarray(model.feature_range, x.dtype)
        return n.where(n.isnan(x), x, n.clip(x, low, high))

    def inverse_transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows on their original scale."""
        x = n.floats(x)
        return ((x - model.min_).cast(x.dtype) / model.scale_).cast(x.dtype)


class MaxAbsScaler(Family):
    """Converts ``MaxAbsScaler``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows divided by the largest magnitude of each feature in training."""
        x = n.floats(x)
        x = (x / model.scale_).cast(x.dtype)
        if not getattr(model, "clip", False):
            return x
        return n.where(n.isnan(x), x, n.clip(x, -1.0, 1.0))

    def inverse_transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows on their original scale."""
        x = n.floats(x)
        return (x * model.scale_).cast(x.dtype)


class RobustScaler(Family):
    """Converts ``RobustScaler``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows with the median subtracted, divided by the range of quantiles."""
        x = n.floats(x)
        if model.with_centering:
            x = (x - model.center_).cast(x.dtype)
        return (x / model.scale_).cast(x.dtype) if model.with_scaling else x

    def inverse_transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows on their original scale."""
        x = n.floats(x)
        if model.with_scaling:
            x = (x * model.scale_).cast(x.dtype)
        return (x + model.center_).cast(x.dtype) if model.with_centering else x


class Normalizer(Family):
    """Converts ``Normalizer``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return each row divided by its norm; a row of zeros stays as it was."""
        return normalize(n.floats(x), model.norm)


def normalize(x: Tensor, norm: str) -> Tensor:
    """Return each row divided by its norm: ``l1``, ``l2`` or ``max``."""
    if norm == "l1":
        size = n.total(n.absolute(x), keepdims=True)
    elif norm == "l2":
        size = n.sqrt(n.total(x * x, keepdims=True))
    else:
        size = n.largest(n.absolute(x), keepdims=True)
    tiny = 10 * np.finfo(x.dtype).eps
    return x / n.where(size < np.asarray(tiny, x.dtype), np.asarray(1, x.dtype), size)


class Binarizer(Family):
    """Converts ``Binarizer``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return 1 above the threshold and 0 elsewhere, in the dtype of the rows."""
        return (x > model.threshold).cast(x.dtype)


class KernelCenterer(Family):
    """Converts ``KernelCenterer``, which centres a kernel matrix in feature space."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the centred kernel matrix, [batch, training rows]."""
        x = n.floats(x)
        rows = np.asarray(model.K_fit_rows_)
        means = n.total(x, keepdims=True) / float(len(rows))
        return (x - rows - means + model.K_fit_all_).cast(x.dtype)


class PowerTransformer(Family):
    """Converts ``PowerTransformer``: Yeo-Johnson and Box-Cox."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows with each feature brought close to a normal distribution."""
        x = n.floats(x)
        bend = _box_cox if model.method == "box-cox" else _yeo_johnson
        powers = np.asarray(model.lambdas_, np.float64)
        wide = x.cast("float64")
        bent = [bend(n.column(wide, i), float(power)) for i, power in enumerate(powers)]
        result = n.concat(bent).cast(x.dtype)
        if not model.standardize:
            return result
        return StandardScaler().transform(private(model, "_scaler"), result)

    def inverse_transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows on their original scale."""
        x = n.floats(x)
        if model.standardize:
            x = StandardScaler().inverse_transform(private(model, "_scaler"), x)
        unbend = _unbox_cox if model.method == "box-cox" else _unyeo_johnson
        wide = x.cast("float64")
        powers = [float(power) for power in model.lambdas_]
        return n.concat([unbend(n.column(wide, i), p) for i, p in enumerate(powers)]).cast(x.dtype)


def _powered(x: Tensor, power: float) -> Tensor:
    """Return ``((x + 1)^power - 1) / power`` for ``x`` of at least 0."""
    logged = n.log1p(x)
    return logged if abs(power) < np.spacing(1.0) else n.expm1(logged * power) / power


def _yeo_johnson(x: Tensor, power: float) -> Tensor:
    positive = _powered(n.where(x >= 0.0, x, 0.0), power)
    negative = _powered(n.where(x < 0.0, -x, 0.0), 2.0 - power)
    return n.where(n.isnan(x), x, n.where(x >= 0.0, positive, -negative))


def _unpowered(x: Tensor, power: float) -> Tensor:
    if abs(power) < np.spacing(1.0):
        return n.expm1(x)
    return n.expm1(n.log1p(x * power) / power)


def _unyeo_johnson(x: Tensor, power: float) -> Tensor:
    positive = _unpowered(n.where(x >= 0.0, x, 0.0), power)
    negative = _unpowered(n.where(x < 0.0, -x, 0.0), 2.0 - power)
    return n.where(n.isnan(x), x, n.where(x >= 0.0, positive, -negative))


def _box_cox(x: Tensor, power: float) -> Tensor:
    logged = n.log(x)
    return logged if power == 0 else n.expm1(logged * power) / power


def _unbox_cox(x: Tensor, power: float) -> Tensor:
    return n.exp(x) if power == 0 else n.exp(n.log1p(x * power) / power)


class QuantileTransformer(Family):
    """Converts ``QuantileTransformer``, which uses the quantiles of the training rows."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows with each feature uniformly or normally distributed."""
        x = n.floats(x)
        quantiles = np.asarray(model.quantiles_, np.float64)
        references = np.asarray(model.references_, np.float64)
        wide = x.cast("float64")
        rising = interp_columns(wide, quantiles, references)
        falling = interp_columns(-wide, -quantiles[::-1], -references[::-1])
        share = (rising - falling) * 0.5
        low, high = quantiles[0], quantiles[-1]
        if model.output_distribution == "normal":
            share = n.where(wide + BOUNDS_THRESHOLD > high, 1.0, share)
            share = n.where(wide - BOUNDS_THRESHOLD < low, 0.0, share)
            share = normal_cdf_inverse(share)
        else:
            share = n.where(n.equal(wide, high), 1.0, share)
            share = n.where(n.equal(wide, low), 0.0, share)
        found = n.where(n.isnan(wide), wide, share).cast(x.dtype)
        handed = x.graph.handed.get(id(model))
        # scikit-learn transforms only the stored values of a sparse matrix, so a zero stays zero.
        return n.where(n.equal(x, 0.0), 0.0, found) if handed and handed.sparse else found

    def inverse_transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows on their original scale."""
        x = n.floats(x)
        share, close = x.cast("float64"), 0.0
        if model.output_distribution == "normal":
            share, close = (erf(share * float(np.sqrt(0.5))) + 1.0) * 0.5, BOUNDS_THRESHOLD
        quantiles = np.asarray(model.quantiles_, np.float64)
        references = np.broadcast_to(np.asarray(model.references_)[:, None], quantiles.shape)
        found = interp_columns(share, references, quantiles)
        found = n.where(share + close > 1.0, quantiles[-1], found)
        return n.where(share - close < 0.0, quantiles[0], found).cast(x.dtype)


FAMILIES: dict[str, Family] = {
    "Binarizer": Binarizer(),
    "KernelCenterer": KernelCenterer(),
    "MaxAbsScaler": MaxAbsScaler(),
    "MinMaxScaler": MinMaxScaler(),
    "Normalizer": Normalizer(),
    "PowerTransformer": PowerTransformer(),
    "QuantileTransformer": QuantileTransformer(),
    "RobustScaler": RobustScaler(),
    "StandardScaler": StandardScaler(),
}
