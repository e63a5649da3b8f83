"""Test rows at the numbers where an estimator's answer changes: thresholds, bins, training rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from onnxpack.exporters.sklearn.convert import private
from onnxpack.exporters.sklearn.registry import family_of
from onnxpack.exporters.trees.edges import beside, threshold_rows
from onnxpack.signature import Array

ROWS = 1500
"""The largest number of rows of each kind."""


def first_estimators(model: Any) -> Iterator[Any]:
    """Yield the estimators that see the input rows unchanged, including the model itself."""
    yield model
    for inner in _inner(model):
        yield from first_estimators(inner)


def _inner(model: Any) -> list[Any]:
    """Return the inner estimators to which a composed estimator passes its rows unchanged."""
    if hasattr(model, "steps"):
        return [step for _, step in model.steps if not (step is None or isinstance(step, str))][:1]
    if hasattr(model, "transformer_list"):
        return [each for _, each in model.transformer_list if not isinstance(each, str)]
    if hasattr(model, "calibrated_classifiers_"):
        return [part.estimator for part in model.calibrated_classifiers_]
    found = getattr(model, "estimators_", None)
    if isinstance(found, Sequence) and not _is_forest(model):
        return [each for each in found if hasattr(each, "get_params")]
    single = (
        getattr(model, name, None) for name in ("estimator_", "regressor_", "best_estimator_")
    )
    return [each for each in single if hasattr(each, "get_params")]


def _is_forest(model: Any) -> bool:
    return hasattr(family_of(model), "ensemble")


def tree_rows(model: Any, base: Array) -> Array:
    """Return rows with values at the thresholds of the model's trees, and just beside them."""
    rows = [np.empty((0, base.shape[1]), base.dtype)]
    base = np.nan_to_num(base)
    for each in first_estimators(model):
        family = family_of(each)
        fits = getattr(each, "n_features_in_", None) == base.shape[1]
        if fits and hasattr(family, "ensemble") and getattr(each, "_preprocessor", None) is None:
            ensemble = private(family, "ensemble")(each)
            rows.append(threshold_rows(ensemble, base))
            narrow = threshold_rows(ensemble, base.astype(np.float32), seed=1)
            rows.append(narrow.astype(base.dtype))
    return _some(np.concatenate(rows))


def corner_values(model: Any, base: Array) -> Array:
    """Return rows in which one feature is at or beside the edge of a bin or a corner of a curve."""
    rows = []
    base = np.nan_to_num(base)
    for each in first_estimators(model):
        for at, values in enumerate(_edges(each)[: base.shape[1]]):
            for number, value in enumerate(_spread(values)):
                for near in beside(float(value), base.dtype):
                    row = base[number % len(base)].copy()
                    row[at] = near
                    rows.append(row)
    return _some(np.array(rows, base.dtype).reshape(-1, base.shape[1]))


def _edges(each: Any) -> list[Array]:
    """Return for each feature the values at which the estimator's answer changes."""
    if hasattr(each, "bin_edges_"):
        return [np.asarray(edges) for edges in each.bin_edges_]
    if hasattr(each, "quantiles_"):
        return list(np.asarray(each.quantiles_).T)
    if hasattr(each, "bsplines_"):
        return [np.unique(spline.t) for spline in each.bsplines_]
    if hasattr(each, "X_thresholds_"):
        return [np.asarray(each.X_thresholds_)]
    return []


def _spread(values: Array, count: int = 40) -> Array:
    values = np.unique(values[np.isfinite(values)])
    if len(values) <= count:
        return values
    return np.asarray(values[np.linspace(0, len(values) - 1, count).astype(int)])


def known_rows(model: Any, base: Array, random: np.random.Generator) -> Array:
    """Return training rows that a model keeps, and rows that mix their values.

    Distances to such rows are often equal.
    """
    rows = [np.empty((0, base.shape[1]), base.dtype)]
    for each in first_estimators(model):
        known = _kept(each)
        if known is not None and known.ndim == 2 and known.shape[1] == base.shape[1]:
            index = random.integers(0, len(known), (ROWS // 2, known.shape[1]))
            rows += [known[: ROWS // 2], np.take_along_axis(known, index, axis=0)]
    return _some(np.concatenate([np.nan_to_num(part).astype(base.dtype) for part in rows]))


def donor_rows(model: Any, base: Array, random: np.random.Generator) -> Array:
    """Return training rows of a ``KNNImputer`` and rows that mix their values, with some missing.

    A row at distance 0 from two donors is filled from both. With ``weights='distance'``,
    scikit-learn's rounding of each distance to 0 or 1e-8 decides which donor counts.
    """
    rows = [np.empty((0, base.shape[1]), base.dtype)]
    for each in first_estimators(model):
        lacking = getattr(each, "_mask_fit_X", None)
        if lacking is None or lacking.shape[1] != base.shape[1] or base.dtype.kind != "f":
            continue
        known = np.where(lacking, each.missing_values, private(each, "_fit_X"))
        index = random.integers(0, len(known), (ROWS, known.shape[1]))
        mixed = np.take_along_axis(known, index, axis=0)
        gaps = random.random(mixed.shape) < 1 / mixed.shape[1]
        rows += [known[:ROWS], np.where(gaps, each.missing_values, mixed)]
    return np.concatenate(rows).astype(base.dtype)


def _kept(each: Any) -> Array | None:
    each = getattr(each, "nbrs_", each)  # Isomap's neighbours
    for name in ("_fit_X", "support_vectors_", "X_train_", "X_fit_", "cluster_centers_", "X_"):
        found = getattr(each, name, None)
        if isinstance(found, np.ndarray) and found.dtype.kind in "iuf":
            return found
    return None


def _some(rows: Array) -> Array:
    """Return at most :data:`ROWS` of the rows, evenly spaced."""
    if len(rows) <= ROWS:
        return rows
    return np.asarray(rows[np.linspace(0, len(rows) - 1, ROWS).astype(int)])
