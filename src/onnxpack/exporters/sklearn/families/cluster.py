"""Converters of clusterings, which assign each row to the nearest centre."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, private
from onnxpack.exporters.sklearn.tensor import Tensor


def centre_distances(x: Tensor, centres: Any) -> Tensor:
    """Return the Euclidean distances to the centres, [batch, centres], in the dtype of the rows."""
    x = n.floats(x)
    far = n.squared_distances(x.cast("float64"), np.asarray(centres, np.float64))
    return n.sqrt(far).cast(x.dtype)


def nearest_centre(x: Tensor, centres: Any) -> Tensor:
    """Return the number of the nearest centre, int64 [batch]; the first one in a tie."""
    return n.argmin(n.squared_distances(x.cast("float64"), np.asarray(centres, np.float64)))


class Centres(Family):
    """Converts clusterings that keep ``cluster_centers_``."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the number of the nearest cluster, int64 [batch]."""
        if not len(model.cluster_centers_):
            raise ExportError("it did not converge and has no centres")
        return nearest_centre(x, model.cluster_centers_)

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the distance to each centre, [batch, clusters]."""
        return centre_distances(x, model.cluster_centers_)


class Birch(Family):
    """Converts ``Birch``: a row belongs to the cluster of its nearest subcluster."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the label of the nearest subcluster, [batch]."""
        nearest = nearest_centre(x, model.subcluster_centers_)
        return n.take(x.graph, np.asarray(model.subcluster_labels_), nearest)

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the distance to each subcluster, [batch, subclusters]."""
        return centre_distances(x, model.subcluster_centers_)


class Bisecting(Centres):
    """Converts ``BisectingKMeans``: each node of its tree splits a cluster in two."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the cluster of the leaf that each row reaches, int64 [batch]."""
        return self._descend(private(model, "_bisecting_tree"), x.cast("float64"), model)

    def _descend(self, node: Any, x: Tensor, model: Any) -> Tensor:
        if node.left is None:
            return n.flat(n.column(x, 0) * 0.0).cast("int64") + int(node.label)
        centres = np.vstack([node.left.center, node.right.center]) + getattr(model, "_X_mean", 0.0)
        left = n.equal(nearest_centre(x, centres), 0)
        return n.where(
            left, self._descend(node.left, x, model), self._descend(node.right, x, model)
        )


class Pooled(Family):
    """Converts ``FeatureAgglomeration``, which pools the features of each cluster."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return one pooled column per cluster of features, [batch, clusters]."""
        pool = {np.mean: n.mean, np.max: n.largest, np.min: n.smallest, np.sum: n.total}.get(
            model.pooling_func
        )
        if pool is None:
            raise ExportError("pooling_func is not numpy's mean, max, min or sum")
        x = n.floats(x) if model.pooling_func is np.mean else x
        groups = [np.flatnonzero(model.labels_ == label) for label in np.unique(model.labels_)]
        wide = x.cast("float64") if model.pooling_func is np.mean else x
        return n.concat([pool(n.gather(wide, group, axis=1), 1, keepdims=True) for group in groups])


FAMILIES: dict[str, Family] = {
    "AffinityPropagation": Centres(),
    "Birch": Birch(),
    "BisectingKMeans": Bisecting(),
    "FeatureAgglomeration": Pooled(),
    "KMeans": Centres(),
    "MeanShift": Centres(),
    "MiniBatchKMeans": Centres(),
}
