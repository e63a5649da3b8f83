"""Converters of support vector machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, label_if, labels_at, private
from onnxpack.exporters.sklearn.distance import kernel_matrix
from onnxpack.exporters.sklearn.families.meta import votes
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.signature import Array


def support_kernel(model: Any, x: Tensor) -> Tensor:
    """Return the kernel between rows and support vectors, float64 [batch, support vectors].

    Raises:
        ExportError: the kernel is a function of the user's.
    """
    wide = x.cast("float64")
    if model.kernel == "precomputed":
        return n.gather(wide, model.support_, axis=1)
    if not isinstance(model.kernel, str):
        raise ExportError("the kernel is a custom function, which a graph cannot hold")
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
    """Converts ``SVR`` and ``NuSVR``."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the weighted sum of the kernel plus the intercept, float64 [batch]."""
        found = support_kernel(model, x) @ _dense(model.dual_coef_).T
        return n.flat(found) + np.ravel(model.intercept_)


class OneClass(Single):
    """Converts ``OneClassSVM``."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores, float64 [batch]; inliers have positive scores."""
        return super().predict(model, x)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return 1 for inliers and -1 for outliers, [batch]."""
        return n.where(self.decision_function(model, x) > 0.0, 1, -1)


class SupportClassifier(Family):
    """Finds classes with one machine for each pair of classes."""

    def pairs(self, model: Any, x: Tensor) -> list[Tensor]:
        """Return the decision of each pair, float64 [batch] each; positive for the first class."""
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
        """Return one score per class or per pair of classes; for two classes, [batch]."""
        pairs = self.pairs(model, x)
        if len(model.classes_) == 2:
            return -pairs[0]
        if model.decision_function_shape == "ovr":
            return votes([pair < 0.0 for pair in pairs], [-pair for pair in pairs], _count(model))
        return n.concat([n.as_column(pair) for pair in pairs])

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the most votes, [batch]; the first one in a tie."""
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


LEAST = 1e-7
"""Pairwise probabilities are clipped to ``LEAST`` … ``1 - LEAST``, as in libsvm."""
CLOSE, STEPS = 0.005, 100
"""libsvm's iteration ends when its error is below ``CLOSE / classes``, or after ``STEPS`` steps.

With more than 100 classes, it takes at most as many steps as there are classes.
"""


class ProbableClassifier(SupportClassifier):
    """Converts ``SVC`` and ``NuSVC``, including probabilities if the model was fitted with them."""

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the class probabilities, [batch, classes].

        A pair's probability is a logistic function of its decision; :func:`coupled` combines them.
        """
        shares = []
        for pair, a, b in zip(
            self.pairs(model, x), private(model, "_probA"), private(model, "_probB"), strict=True
        ):
            share = n.expit(-(pair * float(a) + float(b)))
            shares.append(n.as_column(n.clip(share, LEAST, 1.0 - LEAST)))
        return coupled(shares, len(model.classes_))


def coupled(shares: Sequence[Tensor], count: int) -> Tensor:
    """Return the class probabilities from those of the first class of each pair, as libsvm does.

    T.-F. Wu, C.-J. Lin, R. C. Weng, Probability estimates for multi-class classification by
    pairwise coupling (2004), algorithm 2. libsvm stops before the iteration has fully converged,
    so the graph takes the same steps.
    """
    first = n.concat(list(shares))
    every = n.concat([first, 1.0 - first, n.column(first, 0) * 0.0])
    won = n.reshape(n.gather(every, _places(count).ravel(), axis=1), [-1, count, count])
    lost = n.transpose(won, (0, 2, 1))
    own = n.total(lost * lost, 2)
    square = n.unsqueeze(own, 2) * np.eye(count) - lost * won

    def step(shares: Tensor) -> tuple[Tensor, Tensor]:
        slope = n.total(square * n.unsqueeze(shares, 1), 2)
        height = n.total(shares * slope, keepdims=True)
        on = n.largest(n.absolute(slope - height), keepdims=True) >= CLOSE / count
        found = shares
        for at in range(count):
            size, here = n.column(own, at), n.column(slope, at)
            change = (height - here) / size
            grown = change + 1.0
            height = (height + change * (change * size + here * 2.0)) / grown / grown
            slope = (slope + change * n.gather(square, at, axis=1)) / grown
            found = (found + change * np.eye(count)[at : at + 1]) / grown
        any_on = on.graph.op("ReduceMax", on.cast("int32"), dtype="int32", keepdims=0)
        return n.where(on, found, shares), any_on > 0

    begin = n.repeated(first, np.full(count, 1.0 / count))
    return first.graph.loop(max(STEPS, count), begin, step)


def _places(count: int) -> Array:
    """Return where the share of each pair of classes stands, [count, count].

    The shares of first classes come first, then those of second classes, then one zero.
    """
    pairs = count * (count - 1) // 2
    places = np.full((count, count), 2 * pairs)
    upper = np.triu_indices(count, 1)
    places[upper] = np.arange(pairs)
    places.T[upper] = pairs + np.arange(pairs)
    return places


FAMILIES: dict[str, Family] = {
    "NuSVC": ProbableClassifier(),
    "NuSVR": Single(),
    "OneClassSVM": OneClass(),
    "SVC": ProbableClassifier(),
    "SVR": Single(),
}
