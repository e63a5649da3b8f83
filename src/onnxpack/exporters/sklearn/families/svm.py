"""Support vector machines."""

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


LEAST = 1e-7
"""No pair of classes is surer than this."""
CLOSE, STEPS = 0.005, 100
"""When libsvm's steps end: by the number of classes, and at the latest."""


class ProbableClassifier(SupportClassifier):
    """With probabilities: of each pair of classes by a logistic function, then put together."""

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """One a class."""
        shares = []
        for pair, a, b in zip(
            self.pairs(model, x), private(model, "_probA"), private(model, "_probB"), strict=True
        ):
            share = n.expit(-(pair * float(a) + float(b)))
            shares.append(n.as_column(n.clip(share, LEAST, 1.0 - LEAST)))
        return coupled(shares, len(model.classes_))


def coupled(shares: Sequence[Tensor], count: int) -> Tensor:
    """The probabilities of classes from those of the first of each pair, as libsvm finds them.

    T.-F. Wu, C.-J. Lin, R. C. Weng, Probability estimates for multi-class classification by
    pairwise coupling (2004), algorithm 2. It ends in steps that are as good as equal, and well
    before they are, so the same steps are taken here.
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
    """Of each pair of classes, where its share stands: firsts, then seconds, then a zero."""
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
