"""Support vector machines."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, label_if, labels_at, private
from onnxpack.exporters.sklearn.distance import kernel_matrix
from onnxpack.exporters.sklearn.families.meta import votes
from onnxpack.exporters.sklearn.tensor import Tensor


def support_kernel(model: Any, x: Tensor) -> Tensor:
    """The kernel between rows and support vectors.

    Raises:
        ExportError: the kernel is a function of the user's.
    """
    wide = x.cast("float64")
    if model.kernel == "precomputed":
        return n.gather(wide, model.support_, axis=1)
    if not isinstance(model.kernel, str):
        raise ExportError("the kernel is a function of the user's, which a graph cannot hold")
    vectors = model.support_vectors_
    dense = vectors.toarray() if hasattr(vectors, "toarray") else vectors
    settings = {
        "gamma": private(model, "_gamma"),
        "degree": model.degree,
        "coef0": model.coef0,
    }
    return kernel_matrix(wide, np.asarray(dense, np.float64), model.kernel, settings)


def _dense(matrix: Any) -> Any:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


class Single(Family):
    """One machine: a regression, or one class."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The value."""
        found = support_kernel(model, x) @ _dense(model.dual_coef_).T
        return n.flat(found) + np.ravel(model.intercept_)


class OneClass(Single):
    """Inside or outside."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Positive inside."""
        return super().predict(model, x)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """1 inside, -1 outside."""
        return n.where(self.decision_function(model, x) > 0.0, 1, -1)


class SupportClassifier(Family):
    """One machine for each pair of classes."""

    def pairs(self, model: Any, x: Tensor) -> list[Tensor]:
        """The decision of each pair, positive for the first class, [batch]."""
        matrix = support_kernel(model, x)
        counts = np.asarray(model.n_support_)
        ends = np.cumsum(counts)
        starts = ends - counts
        coefficients = _dense(private(model, "_dual_coef_"))
        offsets = np.asarray(private(model, "_intercept_"))
        weights = []
        for i in range(len(counts)):
            for j in range(i + 1, len(counts)):
                column = np.zeros(len(model.support_))
                column[starts[i] : ends[i]] = coefficients[j - 1, starts[i] : ends[i]]
                column[starts[j] : ends[j]] = coefficients[i, starts[j] : ends[j]]
                weights.append(column)
        found = matrix @ np.array(weights).T + offsets
        return [n.gather(found, k, axis=1) for k in range(len(weights))]

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """One a class, or one a pair; of two classes, one."""
        pairs = self.pairs(model, x)
        if len(model.classes_) == 2:
            return -pairs[0]
        if model.decision_function_shape == "ovr":
            return votes([pair < 0.0 for pair in pairs], [-pair for pair in pairs], _count(model))
        return n.concat([n.as_column(pair) for pair in pairs])

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The class of the most votes; the first of equals."""
        pairs = self.pairs(model, x)
        if len(model.classes_) == 2:
            return label_if(model, ~(pairs[0] > 0.0))
        if model.break_ties:
            return labels_at(model, n.argmax(self.decision_function(model, x)))
        chosen = [~(pair > 0.0) for pair in pairs]
        nothing = [pair * 0.0 for pair in pairs]
        return labels_at(model, n.argmax(votes(chosen, nothing, _count(model))))


def _count(model: Any) -> int:
    return len(model.classes_)


class ProbableClassifier(SupportClassifier):
    """With probabilities, of two classes by a logistic function."""

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """One a class."""
        if len(model.classes_) > 2:
            raise ExportError(
                "libsvm couples the probabilities of more than two classes in steps until they "
                "converge; CalibratedClassifierCV(SVC(), ensemble=False) is exact"
            )
        first = self.pairs(model, x)[0]
        a, b = float(model.probA_[0]), float(model.probB_[0])
        share = n.expit(-(first * a + b))
        share = n.clip(share, 1e-7, 1.0 - 1e-7)
        column = n.as_column(share)
        return n.concat([column, 1.0 - column])


FAMILIES: dict[str, Family] = {
    "NuSVC": ProbableClassifier(),
    "NuSVR": Single(),
    "OneClassSVM": OneClass(),
    "SVC": ProbableClassifier(),
    "SVR": Single(),
}
