"""Converters of feature selection."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Answer, Family, call
from onnxpack.exporters.sklearn.tensor import Tensor


class Selector(Family):
    """Converts selectors that have ``get_support()``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the selected features, [batch, selected]."""
        kept = np.flatnonzero(model.get_support())
        if not len(kept):
            raise ExportError("no feature was selected")
        return n.gather(x, kept, axis=1)


class Elimination(Selector):
    """Converts ``RFE`` and ``RFECV``, which also predict from the selected features."""

    def predict(self, model: Any, x: Tensor) -> Answer:
        """Return the inner estimator's prediction from the selected features."""
        return call(model.estimator_, "predict", self.transform(model, x))

    def predict_proba(self, model: Any, x: Tensor) -> Answer:
        """Return the inner estimator's probabilities from the selected features."""
        return call(model.estimator_, "predict_proba", self.transform(model, x))

    def decision_function(self, model: Any, x: Tensor) -> Answer:
        """Return the inner estimator's scores from the selected features."""
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
