"""Nearest neighbours, and what is found among them."""

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
    """Of each row to each training row, float64.

    Raises:
        ExportError: the metric is not one that is written.
    """
    settings = dict(model.effective_metric_params_ or {})
    metric, power = model.effective_metric_, settings.pop("p", 2)
    return between(x.cast("float64"), _known(model), metric, power, settings)


def nearest(model: Any, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The distances and the numbers of the nearest training rows.

    Memory is bounded, see :mod:`onnxpack.exporters.sklearn.nearest`.

    Raises:
        ExportError: the metric is not one that is written.
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
    """The training rows."""
    return dense(private(model, "_fit_X")).astype(np.float64)


def _is_euclidean(model: Any) -> bool:
    """Whether distances are roots of plain sums of squares."""
    settings = dict(model.effective_metric_params_ or {})
    plain = settings.pop("p", 2) == 2 and not any(v is not None for v in settings.values())
    return plain and model.effective_metric_ in EUCLIDEAN | {"minkowski"}


def weights_of(weights: Any, near: Tensor) -> Tensor | None:
    """The weight of each neighbour; None where all count alike.

    Raises:
        ExportError: the user wrote a function for it.
    """
    if weights in (None, "uniform"):
        return None
    if weights != "distance":
        raise ExportError("weights is a function of the user's, which a graph cannot hold")
    at = n.equal(near, 0.0)
    any_at = n.any_of(at, keepdims=True)
    return n.where(any_at, at.cast("float64"), 1.0 / n.where(at, 1.0, near))


class Neighbors(Family):
    """The classes of the nearest rows."""

    def shares(self, model: Any, x: Tensor) -> list[Tensor]:
        """For each output, the weight of each class."""
        near, places = nearest(model, x, model.n_neighbors)
        weights = weights_of(model.weights, near)
        found = []
        for y, classes in outputs_of(model):
            hot = n.take(x.graph, np.eye(len(classes))[y], places)
            hot = hot if weights is None else hot * n.unsqueeze(weights, 2)
            found.append(n.total(hot, 1))
        return found

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The class of the most weight; the first of equals."""
        shares = self.shares(model, x)
        labels = [
            n.take(x.graph, classes, n.argmax(share))
            for share, (_, classes) in zip(shares, outputs_of(model), strict=True)
        ]
        return _beside(model, labels)

    def predict_proba(self, model: Any, x: Tensor) -> Answer:
        """One a class; of several outputs one array each."""
        found = [share / n.total(share, keepdims=True) for share in self.shares(model, x)]
        return found if model.outputs_2d_ else found[0]


def _beside(model: Any, labels: list[Tensor]) -> Tensor:
    """The labels of each output as a column; of one output, as they are."""
    if not model.outputs_2d_:
        return labels[0]
    return n.concat([n.as_column(label) for label in labels])


def outputs_of(model: Any) -> list[tuple[Array, Array]]:
    """For each output, the training rows' classes by number, and the classes."""
    y = np.asarray(private(model, "_y"))
    if not model.outputs_2d_:
        return [(y.ravel(), model.classes_)]
    return [(y[:, k], classes) for k, classes in enumerate(model.classes_)]


class NeighborsMean(Family):
    """The mean over the nearest rows."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The mean."""
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
    """The mean over the rows within a radius."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The mean; NaN where no row is near."""
        weights = _weights_within(model, x)
        y = np.asarray(private(model, "_y"))
        if y.dtype.kind != "f":
            raise ExportError(
                "the target holds whole numbers, in which a row without neighbours has no answer"
            )
        sums = n.total(weights, keepdims=True)
        found = (weights @ y.reshape(len(y), -1).astype(np.float64)) / sums
        found = found.cast(np.result_type(np.dtype(n.floats(x).dtype), y.dtype).name)
        return n.flat(found) if y.ndim == 1 else found


class Radius(Family):
    """The classes of the rows within a radius."""

    def shares(self, model: Any, x: Tensor) -> list[Tensor]:
        """For each output, the share of each class."""
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
        """One a class; of several outputs one array each."""
        found = self.shares(model, x)
        return found if model.outputs_2d_ else found[0]

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The class; where no row is near, what the model says of outliers."""
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
    """The distance to each training row, and whether it is within the radius.

    By Euclid scikit-learn holds squares against each other, which roots would round together.
    """
    radius = float(model.radius)
    if _is_euclidean(model):
        squares = squares_in_order(x.cast("float64"), _known(model))
        return n.sqrt(squares), squares <= radius * radius
    far = distances(model, x)
    return far, far <= radius


def _weights_within(model: Any, x: Tensor) -> Tensor:
    """The weight of each training row: 0 beyond the radius."""
    far, near = _within(model, x)
    if model.weights in (None, "uniform"):
        return near.cast("float64")
    weights = weights_of(model.weights, n.where(near, far, np.inf))
    if weights is None:
        raise ExportError("weights are wanted")
    return n.where(near, weights, 0.0)


class LocalOutliers(Family):
    """How much sparser than its neighbours a row lies."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Negative for outliers."""
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
        """1 for inliers, -1 for outliers."""
        return n.where(self.decision_function(model, x) < 0.0, -1, 1)


class NeighborGraph(Family):
    """The distances to the nearest rows, or whether they are, as a matrix."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """[batch, training rows]."""
        count = model.n_neighbors + (model.mode == "distance")
        near, places = nearest(model, x, count)
        graph = x.graph
        size = int(model.n_samples_fit_)
        rows = n.repeated(x, np.zeros(size))
        values = near if model.mode == "distance" else near * 0.0 + 1.0
        return graph.op("ScatterElements", rows, places, values, dtype="float64", axis=1)


class RadiusGraph(Family):
    """The distances to the rows within a radius, or whether they are, as a matrix."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """[batch, training rows]."""
        far, near = _within(model, x)
        return n.where(near, far, 0.0) if model.mode == "distance" else near.cast("float64")


class Centroids(Family):
    """The class whose centre is nearest."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The class."""
        if not np.isclose(model.class_prior_, 1 / len(model.classes_)).all():
            return labels_at(model, n.argmax(self._scores(model, x)))
        far = between(x.cast("float64"), np.asarray(model.centroids_, np.float64), model.metric)
        return labels_at(model, n.argmin(far))

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """One a class."""
        return n.softmax(self._scores(model, x))

    def _scores(self, model: Any, x: Tensor) -> Tensor:
        spread = np.asarray(model.within_class_std_dev_, np.float64).copy()
        safe = np.where(spread == 0, 1, spread)
        rows, centres = x.cast("float64") / safe, np.asarray(model.centroids_, np.float64) / safe
        far = between(rows, centres, model.metric)
        return -(far * far) + 2.0 * np.log(model.class_prior_)

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """One a class; of two classes, one."""
        found = self._scores(model, x)
        if len(model.classes_) > 2:
            return found
        return n.gather(found, 1, axis=1) - n.gather(found, 0, axis=1)


class Propagation(Family):
    """Labels that spread from row to row."""

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """One a class."""
        if model.kernel == "rbf":
            weights = kernel_matrix(x, np.asarray(model.X_), "rbf", {"gamma": model.gamma})
            found = weights @ np.asarray(model.label_distributions_)
        elif model.kernel == "knn":
            _, places = nearest(model.nn_fit, x, model.n_neighbors)
            found = n.total(n.take(x.graph, model.label_distributions_, places), 1)
        else:
            raise ExportError("the kernel is a function of the user's, which a graph cannot hold")
        return found / n.total(found, keepdims=True)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The class."""
        return labels_at(model, n.argmax(self.predict_proba(model, x)))


class Components(Family):
    """Neighbourhood components: a product."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """The projection."""
        return x @ model.components_.T


class Isomap(Family):
    """Distances along the neighbourhood graph, projected."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """The projection."""
        if model.n_neighbors is None:
            raise ExportError("neighbours within a radius are not written")
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
