"""Converters of imputers, which fill in missing values."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, ask, private
from onnxpack.exporters.sklearn.families.neighbors import weights_of
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.runtime.frames import MISSING_TEXT


def is_missing(x: Tensor, value: Any) -> Tensor:
    """Return whether each value is the placeholder of a missing one, bool [batch, features]."""
    if x.dtype == "str":
        return n.equal(x, value if isinstance(value, str) else MISSING_TEXT)
    if value is None or value != value:  # NaN
        return n.isnan(x)
    return n.equal(x, value)


class Imputer(Family):
    """Converts ``SimpleImputer``: one constant per feature."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows with missing values filled.

        Features that had no values in training are dropped unless the model keeps them.
        """
        gone = is_missing(x, model.missing_values)
        x = n.floats(x) if model.strategy in ("mean", "median") else x
        statistics = np.asarray(model.statistics_)
        kept = np.arange(len(statistics))
        if not model.keep_empty_features:
            kept = np.array([i for i, value in enumerate(statistics) if value == value])
        rows, holes, fills = x, gone, statistics
        if len(kept) < len(statistics):
            rows, holes = n.gather(x, kept, axis=1), n.gather(gone, kept, axis=1)
            fills = statistics[kept]
        fill = x.graph.constant(_fill(fills, x.dtype)[None], x.dtype)
        return with_indicator(model, n.where(holes, fill, rows), gone)


def _fill(values: Any, dtype: str) -> Any:
    if dtype == "str":
        return np.array([str(value) for value in values], object)
    return np.asarray(values, np.float64).astype(dtype)


def with_indicator(model: Any, x: Tensor, gone: Tensor) -> Tensor:
    """Append the columns that mark missing values, if the model has ``add_indicator``."""
    if not model.add_indicator:
        return x
    if x.dtype == "str":
        raise ExportError("add_indicator puts numbers next to texts")
    return n.concat([x, n.gather(gone, model.indicator_.features_, axis=1).cast(x.dtype)])


class Indicator(Family):
    """Converts ``MissingIndicator``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return whether each value is missing, bool, for the features that ``features_`` lists."""
        gone = is_missing(x, model.missing_values)
        return n.gather(gone, model.features_, axis=1)


class NeighborImputer(Family):
    """Converts ``KNNImputer``: the mean of the nearest training rows that have the value."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows with missing values filled.

        Features that had no values in training are dropped unless the model keeps them.
        """
        if model.metric != "nan_euclidean":
            raise ExportError(f"the metric {model.metric!r} is not supported")
        x = n.floats(x)
        gone = is_missing(x, model.missing_values)
        known = np.asarray(private(model, "_valid_mask"))
        far = _nan_distances(x.cast("float64"), gone, model)
        columns = []
        for at in range(model.n_features_in_):
            if known[at]:
                own, hole = n.column(x, at), n.column(gone, at)
                columns.append(n.where(hole, _donated(model, far, at).cast(x.dtype), own))
            elif model.keep_empty_features:
                columns.append(n.column(x, at) * 0.0)
        return with_indicator(model, n.concat(columns), gone)


def _nan_distances(x: Tensor, gone: Tensor, model: Any) -> Tensor:
    """Return the distances over the features that both rows have, float64 [batch, training rows].

    The squares are scaled up to all features. The distance is NaN if both rows share no feature.
    """
    lacking = np.asarray(private(model, "_mask_fit_X"))
    known = np.where(lacking, 0.0, private(model, "_fit_X")).astype(np.float64)
    have, has = (~gone).cast("float64"), (~lacking).astype(np.float64)
    rows = n.where(gone, 0.0, x)
    shared = have @ np.ascontiguousarray(has.T)
    gap = n.unsqueeze(rows, 1) - known[None]
    both = n.unsqueeze(have, 1) * has[None]
    squares = n.total(gap * gap * both, 2)
    nothing = n.equal(shared, 0.0)
    scaled = squares / n.where(nothing, 1.0, shared) * float(known.shape[1])
    return n.where(nothing, np.nan, n.sqrt(scaled))


def _donated(model: Any, far: Tensor, at: int) -> Tensor:
    """Return the mean of one feature over the nearest training rows that have it, [batch, 1]."""
    lacking = np.asarray(private(model, "_mask_fit_X"))[:, at]
    donors = np.flatnonzero(~lacking)
    values = np.asarray(private(model, "_fit_X"), np.float64)[donors, at]
    own = n.gather(far, donors, axis=1)
    unknown = n.isnan(own)
    graph = far.graph
    count = min(model.n_neighbors, len(donors))
    near, places = graph.ops(
        "TopK",
        n.where(unknown, np.inf, own),
        graph.constant(np.array([count], np.int64)),
        dtypes=["float64", "int64"],
        axis=1,
        largest=0,
        sorted=1,
    )
    weights = weights_of(model.weights, near)
    weights = near * 0.0 + 1.0 if weights is None else weights
    weights = n.where(near < np.inf, weights, 0.0)
    found = n.total(n.take(graph, values, places) * weights, keepdims=True)
    found = found / n.total(weights, keepdims=True)
    alone = ~n.any_of(~unknown, keepdims=True)
    return n.where(alone, float(values.mean()), found)


class IterativeImputer(Family):
    """Converts ``IterativeImputer``: regressions of each feature on the others, in rounds."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows with missing values filled.

        Features that had no values in training are dropped unless the model keeps them.
        """
        if model.sample_posterior:
            raise ExportError("sample_posterior=True draws random numbers")
        x = n.floats(x)
        gone = is_missing(x, model.missing_values)
        empty = np.asarray(private(model, "_is_empty_feature"))
        filled = ask(model.initial_imputer_, "transform", x)
        own, holes = x, gone
        if empty.any():
            if model.keep_empty_features:
                raise ExportError("keep_empty_features=True with an empty feature is not supported")
            kept = np.flatnonzero(~empty)
            own, holes = n.gather(x, kept, axis=1), n.gather(gone, kept, axis=1)
        columns = [n.column(filled, i) for i in range(int((~empty).sum()))]
        initial = n.concat(columns)
        low, high = private(model, "_min_value"), private(model, "_max_value")
        for step in model.imputation_sequence_ if model.n_iter_ else ():
            at = int(step.feat_idx)
            rows = n.concat([columns[int(i)] for i in step.neighbor_feat_idx])
            guess = n.as_column(ask(step.estimator, "predict", rows))
            guess = n.clip(guess, float(low[at]), float(high[at])).cast(x.dtype)
            columns[at] = n.where(n.column(holes, at), guess, columns[at])
        # If nothing is known in the whole batch, scikit-learn stops after the initial values.
        known = n.any_of(n.any_of(~holes, keepdims=True), 0, keepdims=True)
        guessed = n.where(known, n.concat(columns), initial)
        result = n.where(holes, guessed, own)
        return with_indicator(model, result, gone)


FAMILIES: dict[str, Family] = {
    "IterativeImputer": IterativeImputer(),
    "KNNImputer": NeighborImputer(),
    "MissingIndicator": Indicator(),
    "SimpleImputer": Imputer(),
}
