"""Converters of nearest-neighbour estimators and what is computed from neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Answer, Family, ask, labels_at, private
from onnxpack.exporters.sklearn.distance import (
    EUCLIDEAN,
    between,
    dense,
    kernel_matrix,
    squares_in_order,
)
from onnxpack.exporters.sklearn.nearest import AT_ONCE, in_chunks, nearest_squares, smallest
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.signature import Array


def distances(model: Any, x: Tensor) -> Tensor:
    """Return the distance of each row to each training row, float64 [batch, training rows].

    Raises:
        ExportError: the metric is not supported.
    """
    settings = dict(model.effective_metric_params_ or {})
    metric, power = model.effective_metric_, settings.pop("p", 2)
    return between(x.cast("float64"), _known(model), metric, power, settings)


def nearest(model: Any, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the distances to the nearest training rows and their numbers, both [batch, count].

    Memory is bounded, see :mod:`onnxpack.exporters.sklearn.nearest`.

    Raises:
        ExportError: the metric is not supported.
    """
    known = _known(model)
    if _is_euclidean(model):
        squares, places = nearest_squares(x.cast("float64"), known, count)
        return n.sqrt(squares), places
    near, places = in_chunks(
        x, AT_ONCE // known.size, lambda rows: smallest(distances(model, rows), count)
    )
    return near, places


def _known(model: Any) -> Array:
    """Return the training rows, dense float64 [training rows, features]."""
    return dense(private(model, "_fit_X")).astype(np.float64)


def _is_euclidean(model: Any) -> bool:
    """Return whether distances are roots of unweighted sums of squares."""
    settings = dict(model.effective_metric_params_ or {})
    plain = settings.pop("p", 2) == 2 and not any(v is not None for v in settings.values())
    return plain and model.effective_metric_ in EUCLIDEAN | {"minkowski"}


def weights_of(weights: Any, near: Tensor) -> Tensor | None:
    """Return the weight of each neighbour, or None if all neighbours count the same.

    Raises:
        ExportError: the weights are a function of the user's.
    """
    if weights in (None, "uniform"):
        return None
    if weights != "distance":
        raise ExportError("weights is a custom function, which a graph cannot hold")
    at = n.equal(near, 0.0)
    any_at = n.any_of(at, keepdims=True)
    return n.where(any_at, at.cast("float64"), 1.0 / n.where(at, 1.0, near))


class Neighbors(Family):
    """Converts ``KNeighborsClassifier``."""

    def shares(self, model: Any, x: Tensor) -> list[Tensor]:
        """Return the weight of each class, float64 [batch, classes], for each output."""
        near, places = nearest(model, x, model.n_neighbors)
        weights = weights_of(model.weights, near)
        found = []
        for y, classes in outputs_of(model):
            hot = n.take(x.graph, np.eye(len(classes))[y], places)
            hot = hot if weights is None else hot * n.unsqueeze(weights, 2)
            found.append(n.total(hot, 1))
        return found

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the largest weight; the first one in a tie."""
        shares = self.shares(model, x)
        labels = [
            n.take(x.graph, classes, n.argmax(share))
            for share, (_, classes) in zip(shares, outputs_of(model), strict=True)
        ]
        return _beside(model, labels)

    def predict_proba(self, model: Any, x: Tensor) -> Answer:
        """Return the class probabilities, [batch, classes]; a list of them for several outputs."""
        found = [share / n.total(share, keepdims=True) for share in self.shares(model, x)]
        return found if model.outputs_2d_ else found[0]


def _beside(model: Any, labels: list[Tensor]) -> Tensor:
    """Return the labels of each output as a column; for a single output, [batch]."""
    if not model.outputs_2d_:
        return labels[0]
    return n.concat([n.as_column(label) for label in labels])


def outputs_of(model: Any) -> list[tuple[Array, Array]]:
    """Return for each output the class numbers of the training rows, and the classes."""
    y = np.asarray(private(model, "_y"))
    if not model.outputs_2d_:
        return [(y.ravel(), model.classes_)]
    return [(y[:, k], classes) for k, classes in enumerate(model.classes_)]


class NeighborsMean(Family):
    """Converts ``KNeighborsRegressor``."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the weighted mean target of the nearest rows, [batch] or [batch, outputs]."""
        near, places = nearest(model, x, model.n_neighbors)
        weights = weights_of(model.weights, near)
        y = np.asarray(private(model, "_y"))
        values = n.take(x.graph, y.reshape(len(y), -1).astype(np.float64), places)
        if weights is None:
            found = n.mean(values, 1)
        else:
            each = n.unsqueeze(weights, 2)
            found = n.total(values * each, 1) / n.total(each, 1)
        return n.flat(found) if y.ndim == 1 else found


class RadiusMean(Family):
    """Converts ``RadiusNeighborsRegressor``."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the mean target of the rows within the radius; NaN if there are none."""
        weights = _weights_within(model, x)
        y = np.asarray(private(model, "_y"))
        if y.dtype.kind != "f":
            raise ExportError(
                "the target has an integer dtype, in which a row without neighbours has no answer"
            )
        sums = n.total(weights, keepdims=True)
        found = (weights @ y.reshape(len(y), -1).astype(np.float64)) / sums
        found = found.cast(np.result_type(np.dtype(n.floats(x).dtype), y.dtype).name)
        return n.flat(found) if y.ndim == 1 else found


class Radius(Family):
    """Converts ``RadiusNeighborsClassifier``."""

    def shares(self, model: Any, x: Tensor) -> list[Tensor]:
        """Return the share of each class, [batch, classes], for each output."""
        weights = _weights_within(model, x)
        found = []
        for k, (y, classes) in enumerate(outputs_of(model)):
            share = weights @ np.eye(len(classes))[y]
            sums = n.total(share, keepdims=True)
            alone = n.equal(sums, 0.0)
            share = share / n.where(alone, 1.0, sums)
            if model.outlier_label_ is not None:
                outlier = (classes == model.outlier_label_[k]).astype(np.float64)
                share = n.where(alone, outlier[None], share)
            found.append(share)
        return found

    def predict_proba(self, model: Any, x: Tensor) -> Answer:
        """Return the class probabilities, [batch, classes]; a list of them for several outputs."""
        found = self.shares(model, x)
        return found if model.outputs_2d_ else found[0]

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the largest share, or the outlier label if no row is near."""
        labels = []
        for k, (share, (_, classes)) in enumerate(
            zip(self.shares(model, x), outputs_of(model), strict=True)
        ):
            label = n.take(x.graph, classes, n.argmax(share))
            if model.outlier_label_ is not None:
                alone = n.equal(n.total(share), 0.0)
                outlier = np.asarray(model.outlier_label_[k], classes.dtype)
                label = n.where(alone, x.graph.constant(outlier), label)
            labels.append(label)
        return _beside(model, labels)


def _within(model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance to each training row, and whether the row is within the radius.

    For Euclidean distances scikit-learn compares squares, which can differ where their roots round
    to the same number.
    """
    radius = float(model.radius)
    if _is_euclidean(model):
        squares = squares_in_order(x.cast("float64"), _known(model))
        return n.sqrt(squares), squares <= radius * radius
    far = distances(model, x)
    return far, far <= radius


def _weights_within(model: Any, x: Tensor) -> Tensor:
    """Return the weight of each training row, float64; 0 outside the radius."""
    far, near = _within(model, x)
    if model.weights in (None, "uniform"):
        return near.cast("float64")
    weights = weights_of(model.weights, n.where(near, far, np.inf))
    if weights is None:
        raise ExportError("weights are needed")
    return n.where(near, weights, 0.0)


class LocalOutliers(Family):
    """Converts ``LocalOutlierFactor``: compares a row's density with that of its neighbours."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores, [batch]; outliers have negative scores."""
        count = model.n_neighbors_
        near, places = nearest(model, x, count)
        near = near.cast("float32") if x.dtype == "float32" else near
        reach = np.asarray(private(model, "_distances_fit_X_"))[:, count - 1]
        density = np.asarray(private(model, "_lrd"))
        reached = n.maximum(near, n.take(x.graph, reach, places))
        own = 1.0 / (n.mean(reached, 1, keepdims=True) + 1e-10)
        ratio = n.mean(n.take(x.graph, density, places) / own, 1)
        return -ratio - np.asarray(model.offset_, ratio.dtype)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return 1 for inliers and -1 for outliers, [batch]."""
        return n.where(self.decision_function(model, x) < 0.0, -1, 1)


class NeighborGraph(Family):
    """Converts ``KNeighborsTransformer``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return distances or ones at the nearest rows, else 0, float64 [batch, training rows]."""
        count = model.n_neighbors + (model.mode == "distance")
        near, places = nearest(model, x, count)
        graph = x.graph
        size = int(model.n_samples_fit_)
        rows = n.repeated(x, np.zeros(size))
        values = near if model.mode == "distance" else near * 0.0 + 1.0
        return graph.op("ScatterElements", rows, places, values, dtype="float64", axis=1)


class RadiusGraph(Family):
    """Converts ``RadiusNeighborsTransformer``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return distances or ones within the radius, else 0, float64 [batch, training rows]."""
        far, near = _within(model, x)
        return n.where(near, far, 0.0) if model.mode == "distance" else near.cast("float64")


class Centroids(Family):
    """Converts ``NearestCentroid``."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the nearest centre, weighed by the class priors, [batch]."""
        if not np.isclose(model.class_prior_, 1 / len(model.classes_)).all():
            return labels_at(model, n.argmax(self._scores(model, x)))
        far = between(x.cast("float64"), np.asarray(model.centroids_, np.float64), model.metric)
        return labels_at(model, n.argmin(far))

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the class probabilities, [batch, classes]."""
        return n.softmax(self._scores(model, x))

    def _scores(self, model: Any, x: Tensor) -> Tensor:
        spread = np.asarray(model.within_class_std_dev_, np.float64).copy()
        safe = np.where(spread == 0, 1, spread)
        rows, centres = x.cast("float64") / safe, np.asarray(model.centroids_, np.float64) / safe
        far = between(rows, centres, model.metric)
        return -(far * far) + 2.0 * np.log(model.class_prior_)

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores, [batch, classes]; for two classes, [batch]."""
        found = self._scores(model, x)
        if len(model.classes_) > 2:
            return found
        return n.gather(found, 1, axis=1) - n.gather(found, 0, axis=1)


class Propagation(Family):
    """Converts ``LabelPropagation`` and ``LabelSpreading``."""

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the class probabilities, [batch, classes]."""
        if model.kernel == "rbf":
            weights = kernel_matrix(x, np.asarray(model.X_), "rbf", {"gamma": model.gamma})
            found = weights @ np.asarray(model.label_distributions_)
        elif model.kernel == "knn":
            _, places = nearest(model.nn_fit, x, model.n_neighbors)
            found = n.total(n.take(x.graph, model.label_distributions_, places), 1)
        else:
            raise ExportError("the kernel is a custom function, which a graph cannot hold")
        return found / n.total(found, keepdims=True)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the largest probability, [batch]."""
        return labels_at(model, n.argmax(self.predict_proba(model, x)))


class Components(Family):
    """Converts ``NeighborhoodComponentsAnalysis``: one matrix product."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the projected rows, [batch, components]."""
        return x @ model.components_.T


class Isomap(Family):
    """Converts ``Isomap``: projects the distances along the graph of neighbours."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the embedded rows, [batch, components]."""
        if model.n_neighbors is None:
            raise ExportError("neighbours within a radius are not supported")
        near, places = nearest(model.nbrs_, x, model.n_neighbors)
        along = n.take(x.graph, np.asarray(model.dist_matrix_, np.float64), places)
        far = n.smallest(along + n.unsqueeze(near, 2), 1)
        kernel = (far * far * -0.5).cast("float32" if x.dtype == "float32" else "float64")
        return ask(model.kernel_pca_, "transform", kernel)


FAMILIES: dict[str, Family] = {
    "Isomap": Isomap(),
    "KNeighborsClassifier": Neighbors(),
    "KNeighborsRegressor": NeighborsMean(),
    "KNeighborsTransformer": NeighborGraph(),
    "LabelPropagation": Propagation(),
    "LabelSpreading": Propagation(),
    "LocalOutlierFactor": LocalOutliers(),
    "NearestCentroid": Centroids(),
    "NeighborhoodComponentsAnalysis": Components(),
    "RadiusNeighborsClassifier": Radius(),
    "RadiusNeighborsRegressor": RadiusMean(),
    "RadiusNeighborsTransformer": RadiusGraph(),
}
