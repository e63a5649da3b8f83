"""Converters of ensembles of arbitrary estimators: bagging, AdaBoost, voting, stacking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import (
    Answer,
    Family,
    Table,
    ask,
    call,
    label_if,
    labels_at,
)
from onnxpack.exporters.sklearn.tensor import Tensor


def summed(parts: Sequence[Tensor]) -> Tensor:
    """Return the sum of the parts, added in their order."""
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    return found


def average(parts: Sequence[Tensor], weights: Any = None) -> Tensor:
    """Return the mean of the parts, weighted as ``numpy.average`` does it."""
    if weights is None:
        return summed(parts) / float(len(parts))
    wide = [part.cast("float64") for part in parts]
    weighted = [part * float(weight) for part, weight in zip(wide, weights, strict=True)]
    return summed(weighted) / float(np.sum(weights))


def chosen(labels: Tensor, classes: Any) -> Tensor:
    """Return whether each class is the label, bool [batch, classes]."""
    return n.equal(n.as_column(labels), np.asarray(classes)[None])


class Bagging(Family):
    """Converts ``BaggingClassifier`` and ``BaggingRegressor``."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the mean prediction, or the class with the largest mean probability, [batch]."""
        if hasattr(model, "classes_"):
            return labels_at(model, n.argmax(self.predict_proba(model, x)))
        parts = [ask(each, "predict", rows) for each, rows in _members(model, x)]
        return summed(parts) / float(model.n_estimators)

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the mean probabilities of the members, float64 [batch, classes]."""
        parts = [_shares(each, rows, len(model.classes_)) for each, rows in _members(model, x)]
        return summed(parts) / float(model.n_estimators)


def _members(model: Any, x: Tensor) -> list[tuple[Any, Tensor]]:
    every = np.arange(model.n_features_in_)
    return [
        (each, x if np.array_equal(some, every) else n.gather(x, some, axis=1))
        for each, some in zip(model.estimators_, model.estimators_features_, strict=True)
    ]


def _shares(each: Any, x: Tensor, classes: int) -> Tensor:
    """Return a member's probabilities, or its vote, as float64 [batch, classes]."""
    if not hasattr(each, "predict_proba"):
        return chosen(ask(each, "predict", x), np.arange(classes)).cast("float64")
    shares = ask(each, "predict_proba", x).cast("float64")
    if len(each.classes_) == classes:
        return shares
    return shares @ np.eye(classes)[np.asarray(each.classes_, np.int64)]


class AdaBoost(Family):
    """Converts ``AdaBoostClassifier``: a weighted vote of the members."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores, [batch, classes]; for two classes, [batch]."""
        classes = model.n_classes_
        if classes == 1:
            raise ExportError("there is only one class")
        parts = []
        for each, weight in zip(model.estimators_, model.estimator_weights_, strict=False):
            own = chosen(ask(each, "predict", x), model.classes_)
            parts.append(n.where(own, float(weight), float(-1 / (classes - 1) * weight)))
        found = summed(parts) / float(model.estimator_weights_.sum())
        if classes > 2:
            return found
        return n.gather(found, 1, axis=1) - n.gather(found, 0, axis=1)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the largest score, [batch]."""
        scores = self.decision_function(model, x)
        if model.n_classes_ == 2:
            return label_if(model, scores > 0.0)
        return labels_at(model, n.argmax(scores))

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the softmax of the scores, [batch, classes]."""
        scores = self.decision_function(model, x)
        if model.n_classes_ == 2:
            column = n.as_column(scores)
            return n.softmax(n.concat([-column, column]) / 2.0)
        return n.softmax(scores / float(model.n_classes_ - 1))


class AdaBoostMedian(Family):
    """Converts ``AdaBoostRegressor``: the weighted median of the members' predictions."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the weighted median of the members' predictions, [batch]."""
        parts = [n.as_column(ask(each, "predict", x)) for each in model.estimators_]
        found, graph = n.concat(parts), x.graph
        count = graph.constant(np.array([len(parts)], np.int64))
        ordered, places = graph.ops(
            "TopK", found, count, dtypes=[found.dtype, "int64"], axis=1, largest=0, sorted=1
        )
        weights = np.asarray(model.estimator_weights_[: len(parts)], np.float64)
        reached = n.cumsum(n.take(graph, weights, places), 1)
        half = n.column(reached, len(parts) - 1) * 0.5
        at = n.argmax((reached >= half).cast("int32"))
        return n.flat(
            graph.op("GatherElements", ordered, n.as_column(at), dtype=found.dtype, axis=1)
        )


class VotingClassifier(Family):
    """Converts ``VotingClassifier``: a vote, or the mean of the members' probabilities."""

    columnwise = True

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the class with the most votes or the largest mean probability, [batch]."""
        if model.voting == "soft":
            return labels_at(model, n.argmax(ask(model, "predict_proba", x)))
        count = np.arange(len(model.classes_))
        weights = _weights(model) or [1.0] * len(model.estimators_)
        votes = [
            chosen(ask(each, "predict", x), count).cast("float64") * float(weight)
            for each, weight in zip(model.estimators_, weights, strict=True)
        ]
        return labels_at(model, n.argmax(summed(votes)))

    def predict_proba(self, model: Any, x: Table) -> Tensor:
        """Return the mean probabilities of the members, [batch, classes]."""
        parts = [ask(each, "predict_proba", x) for each in model.estimators_]
        return average(parts, _weights(model))

    def transform(self, model: Any, x: Table) -> Tensor:
        """Return the members' probabilities or labels side by side."""
        if model.voting == "soft":
            return n.concat([ask(each, "predict_proba", x) for each in model.estimators_])
        return n.concat([n.as_column(ask(each, "predict", x)) for each in model.estimators_])


class VotingRegressor(Family):
    """Converts ``VotingRegressor``: the mean of the members' predictions."""

    columnwise = True

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the mean of the members' predictions, [batch]."""
        return average([ask(each, "predict", x) for each in model.estimators_], _weights(model))

    def transform(self, model: Any, x: Table) -> Tensor:
        """Return the members' predictions, [batch, members]."""
        return n.concat([n.as_column(ask(each, "predict", x)) for each in model.estimators_])


def _weights(model: Any) -> list[float] | None:
    """Return the weights of the members that were not dropped."""
    if model.weights is None:
        return None
    pairs = zip(model.estimators, model.weights, strict=True)
    return [float(weight) for (_, each), weight in pairs if each != "drop"]


class Stacking(Family):
    """Converts stacking: a final estimator sees the members' answers."""

    columnwise = True

    def transform(self, model: Any, x: Table) -> Tensor:
        """Return the members' answers side by side, followed by the rows with ``passthrough``."""
        parts = []
        for each, method in zip(model.estimators_, model.stack_method_, strict=False):
            found = ask(each, method, x)
            if method == "predict_proba" and len(each.classes_) == 2:
                found = n.column(found, 1)
            parts.append(n.as_column(found) if _single(each, method) else found)
        if model.passthrough:
            parts.append(x if isinstance(x, Tensor) else x.matrix())
        return n.concat(parts)

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the final estimator's prediction, [batch]."""
        found = ask(model.final_estimator_, "predict", self.transform(model, x))
        return labels_at(model, found) if hasattr(model, "classes_") else found

    def predict_proba(self, model: Any, x: Table) -> Answer:
        """Return the final estimator's probabilities, [batch, classes]."""
        return call(model.final_estimator_, "predict_proba", self.transform(model, x))

    def decision_function(self, model: Any, x: Table) -> Answer:
        """Return the final estimator's scores."""
        return call(model.final_estimator_, "decision_function", self.transform(model, x))


def _single(each: Any, method: str) -> bool:
    """Return whether the method gives one number per row."""
    return method == "predict" or (method == "decision_function" and len(each.classes_) == 2)


FAMILIES: dict[str, Family] = {
    "AdaBoostClassifier": AdaBoost(),
    "AdaBoostRegressor": AdaBoostMedian(),
    "BaggingClassifier": Bagging(),
    "BaggingRegressor": Bagging(),
    "StackingClassifier": Stacking(),
    "StackingRegressor": Stacking(),
    "VotingClassifier": VotingClassifier(),
    "VotingRegressor": VotingRegressor(),
}
