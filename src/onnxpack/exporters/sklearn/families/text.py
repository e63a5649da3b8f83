"""Texts."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Answer, Family, private
from onnxpack.exporters.sklearn.families.scale import normalize
from onnxpack.exporters.sklearn.tensor import Tensor


class Weights(Family):
    """Counts weighted by how rare a term is."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """The weighted counts."""
        return weighted(model, n.floats(x))


def weighted(model: Any, counts: Tensor) -> Tensor:
    """As ``TfidfTransformer`` does."""
    if model.sublinear_tf:
        none = n.equal(counts, 0.0)
        counts = n.where(none, 0.0, n.log(n.where(none, 1.0, counts)) + 1.0)
    if hasattr(model, "idf_"):
        counts = (counts * np.asarray(model.idf_)).cast(counts.dtype)
    return counts if model.norm is None else normalize(counts, model.norm)


class Refused(Family):
    """What a graph cannot hold.

    Args:
        reason: why, after the estimator's name.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def transform(self, model: Any, x: Tensor) -> Answer:
        """Refused."""
        raise ExportError(f"{type(model).__name__} {self._reason}")


HASHING = Refused("hashes its terms with MurmurHash3, for which ONNX has no operator")
FAMILIES: dict[str, Family] = {
    "DictVectorizer": Refused("takes dictionaries, which are no tensors"),
    "FeatureHasher": HASHING,
    "HashingVectorizer": HASHING,
    "MultiLabelBinarizer": Refused("takes sets of labels, which are no tensors"),
    "PatchExtractor": Refused("takes pictures and gives more rows than it is given"),
    "TfidfTransformer": Weights(),
}
