"""Selection of features."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Answer, Family, call
from onnxpack.exporters.sklearn.tensor import Tensor


class Selector(Family):
    """What has ``get_support()``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """The selected features."""
        kept = np.flatnonzero(model.get_support())
        if not len(kept):
            raise ExportError("no feature was selected")
        return n.gather(x, kept, axis=1)


class Elimination(Selector):
    """Recursive elimination, which also predicts with what it kept."""

    def predict(self, model: Any, x: Tensor) -> Answer:
        """By the inner estimator."""
        return call(model.estimator_, "predict", self.transform(model, x))

    def predict_proba(self, model: Any, x: Tensor) -> Answer:
        """By the inner estimator."""
        return call(model.estimator_, "predict_proba", self.transform(model, x))

    def decision_function(self, model: Any, x: Tensor) -> Answer:
        """By the inner estimator."""
        return call(model.estimator_, "decision_function", self.transform(model, x))


FAMILIES: dict[str, Family] = {
    **dict.fromkeys(
        (
            "GenericUnivariateSelect", "SelectFdr", "SelectFpr", "SelectFromModel", "SelectFwe",
            "SelectKBest", "SelectPercentile", "SequentialFeatureSelector", "VarianceThreshold",
        ),
        Selector(),
    ),
    "RFE": Elimination(),
    "RFECV": Elimination(),
}  # fmt: skip
