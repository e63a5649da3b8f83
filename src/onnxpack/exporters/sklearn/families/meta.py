"""Converters of meta-estimators: multiclass, multi-output, calibration, thresholds, dummies."""

from __future__ import annotations

from collections.abc import Mapping
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
    normalized,
    private,
    two_columns,
)
from onnxpack.exporters.sklearn.families.linear import Delegate
from onnxpack.exporters.sklearn.interpolate import interp_columns
from onnxpack.exporters.sklearn.tensor import Tensor


def matrix_of(x: Table) -> Tensor:
    """Return a table as one matrix, [batch, features]."""
    return x if isinstance(x, Tensor) else x.matrix()


def binary_score(model: Any, x: Table) -> Tensor:
    """Return a binary estimator's score for its second class, [batch]."""
    if hasattr(model, "decision_function"):
        return n.flat(ask(model, "decision_function", x))
    if hasattr(model, "predict_proba"):
        return n.gather(ask(model, "predict_proba", x), 1, axis=1)
    return ask(model, "predict", x)


def threshold(model: Any) -> float:
    """Return the score above which a binary estimator chooses its second class."""
    from sklearn.base import is_classifier

    return 0.0 if hasattr(model, "decision_function") and is_classifier(model) else 0.5


class Constant(Family):
    """Converts scikit-learn's internal predictor of a class that all or no training rows have."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the constant for each row, float64 [batch]."""
        return n.repeated(x, np.ravel(private(model, "y_"))[0].astype(np.float64))

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the constant for each row, [batch]."""
        return n.repeated(x, np.ravel(private(model, "y_"))[0])

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return probability 1 for the constant's class, float64 [batch, 2]."""
        share = np.ravel(private(model, "y_"))[0].astype(np.float64)
        return n.repeated(x, np.array([1 - share, share]))


class OneVersusRest(Family):
    """Converts ``OneVsRestClassifier``: one binary estimator per class."""

    columnwise = True

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the class with the largest score, or an indicator for each label."""
        scores = [n.as_column(binary_score(each, x)) for each in model.estimators_]
        if model.label_binarizer_.y_type_ == "multiclass":
            return labels_at(model, n.argmax(n.concat(scores)))
        chosen = n.concat(scores) > threshold(model.estimators_[0])
        if model.multilabel_:
            return chosen.cast("int64")
        return label_if(model, n.flat(chosen))

    def predict_proba(self, model: Any, x: Table) -> Tensor:
        """Return the class probabilities, [batch, classes]; multilabel rows are not normalised."""
        shares = [n.column(ask(each, "predict_proba", x), 1) for each in model.estimators_]
        found = n.concat(shares)
        if len(shares) == 1:
            found = n.concat([1.0 - found, found])
        if model.multilabel_:
            return found
        sums = n.total(found, keepdims=True)
        return found / n.where(n.equal(sums, 0.0), 1.0, sums)

    def decision_function(self, model: Any, x: Table) -> Tensor:
        """Return the scores, [batch, classes]; for a single estimator, its own scores."""
        if len(model.estimators_) == 1:
            return ask(model.estimators_[0], "decision_function", x)
        scores = [ask(each, "decision_function", x) for each in model.estimators_]
        return n.concat([n.as_column(score) for score in scores])


def votes(chosen: list[Tensor], confidences: list[Tensor], classes: int) -> Tensor:
    """Return one score per class from the estimators of all pairs of classes, [batch, classes].

    A score is the number of pairs won, plus a term below 1/3 in magnitude from the confidences.

    Args:
        chosen: for each pair, whether the second class was chosen, bool [batch].
        confidences: for each pair, the confidence in the second class, [batch].
    """
    won: list[Tensor | None] = [None] * classes
    summed: list[Tensor | None] = [None] * classes
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    for (i, j), second, confidence in zip(pairs, chosen, confidences, strict=True):
        vote = second.cast("float64")
        won[i], won[j] = _plus(won[i], 1.0 - vote), _plus(won[j], vote)
        summed[i], summed[j] = _plus(summed[i], -confidence), _plus(summed[j], confidence)
    found = []
    for vote_sum, confidence_sum in zip(won, summed, strict=True):
        if vote_sum is None or confidence_sum is None:
            raise ExportError("a class belongs to no pair")
        small = confidence_sum / ((n.absolute(confidence_sum) + 1.0) * 3.0)
        found.append(n.as_column(vote_sum + small))
    return n.concat(found)


def _plus(sum_: Tensor | None, term: Tensor) -> Tensor:
    return term if sum_ is None else sum_ + term


class OneVersusOne(Family):
    """Converts ``OneVsOneClassifier``: one binary estimator for each pair of classes."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores, [batch, classes]; for two classes, [batch]."""
        indices = model.pairwise_indices_ or [None] * len(model.estimators_)
        inputs = [x if index is None else n.gather(x, index, axis=1) for index in indices]
        pairs = list(zip(model.estimators_, inputs, strict=True))
        chosen = [n.equal(ask(each, "predict", part).cast("int64"), 1) for each, part in pairs]
        confidences = [binary_score(each, part) for each, part in pairs]
        found = votes(chosen, confidences, len(model.classes_))
        return n.gather(found, 1, axis=1) if len(model.classes_) == 2 else found

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the largest score, [batch]."""
        scores = self.decision_function(model, x)
        if len(model.classes_) == 2:
            return label_if(model, scores > threshold(model.estimators_[0]))
        return labels_at(model, n.argmax(scores))


class OutputCode(Family):
    """Converts ``OutputCodeClassifier``: the class whose code is nearest to the scores."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the nearest code, [batch]."""
        code = n.concat([n.as_column(binary_score(each, x)) for each in model.estimators_])
        far = n.squared_distances(code.cast("float64"), np.asarray(model.code_book_))
        return labels_at(model, n.argmin(far))


class Several(Family):
    """Converts ``MultiOutputClassifier`` and ``MultiOutputRegressor``: one estimator per output."""

    columnwise = True

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the predictions, [batch, outputs]."""
        found = [ask(each, "predict", x) for each in model.estimators_]
        return n.concat([n.as_column(each) for each in found])

    def predict_proba(self, model: Any, x: Table) -> list[Tensor]:
        """Return the class probabilities of each output, [batch, classes] each."""
        return [ask(each, "predict_proba", x) for each in model.estimators_]


class Chain(Family):
    """Converts chains: the estimator of an output also sees the answers for earlier outputs."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the predictions, [batch, outputs]."""
        return self._chained(model, "predict", x)

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the probability of each label, float64 [batch, labels]."""
        return self._chained(model, "predict_proba", x)

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the score of each label, float64 [batch, labels]."""
        return self._chained(model, "decision_function", x)

    def _chained(self, model: Any, output: str, x: Tensor) -> Tensor:
        link = getattr(model, "chain_method_", "predict")
        seen: list[Tensor] = []
        found: list[Tensor] = []
        for each in model.estimators_:
            rows = n.concat([x, *seen])
            seen.append(_response(each, link, rows))
            found.append(_response(each, output, rows))
        order = np.argsort(model.order_)
        return n.concat([found[place] for place in order])


def _response(model: Any, method: str, x: Tensor) -> Tensor:
    found = ask(model, method, x)
    if method == "predict_proba":
        found = n.gather(found, 1, axis=1)
    return n.as_column(found).cast("float64")


class Calibrated(Family):
    """Converts ``CalibratedClassifierCV``."""

    columnwise = True

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the class with the largest mean probability, [batch]."""
        return labels_at(model, n.argmax(ask(model, "predict_proba", x)))

    def predict_proba(self, model: Any, x: Table) -> Tensor:
        """Return the mean probabilities of the calibrated classifiers, [batch, classes]."""
        parts = model.calibrated_classifiers_
        found = _calibrated(parts[0], x)
        for part in parts[1:]:
            found = found + _calibrated(part, x)
        return found / float(len(parts))


def _calibrated(part: Any, x: Table) -> Tensor:
    """Return the probabilities of one calibrated classifier, [batch, classes]."""
    binary = len(part.classes) == 2
    method = "decision_function" if hasattr(part.estimator, "decision_function") else ""
    scores = ask(part.estimator, method or "predict_proba", x)
    if binary:
        scores = n.as_column(scores) if method else n.column(scores, 1)
    if part.method == "temperature":
        return _tempered(part, scores, method)
    shares = [
        _calibrate(each, n.gather(scores, i, axis=1)) for i, each in enumerate(part.calibrators)
    ]
    if binary:
        return _trimmed(two_columns(shares[0]))
    places = np.searchsorted(part.classes, part.estimator.classes_)
    if len(places) != len(part.classes):
        raise ExportError("a fold of the calibration lacks a class")
    ordered = n.concat([n.as_column(shares[place]) for place in np.argsort(places)])
    return _trimmed(normalized(ordered))


def _calibrate(calibrator: Any, score: Tensor) -> Tensor:
    if hasattr(calibrator, "a_"):
        return n.expit(-(score.cast("float64") * float(calibrator.a_) + float(calibrator.b_)))
    return ask(calibrator, "predict", score).cast("float64")


def _trimmed(shares: Tensor) -> Tensor:
    return n.where(shares <= 1.0 + 1e-5, n.minimum(shares, 1.0), shares)


def _tempered(part: Any, scores: Tensor, method: str) -> Tensor:
    beta = float(part.calibrators[0].beta_)
    if method:
        logits = n.concat([-scores, scores]) if len(part.classes) == 2 else scores
    else:
        shares = n.concat([1.0 - scores, scores]) if len(part.classes) == 2 else scores
        logits = n.log(shares + 1e-12)
    return _trimmed(n.softmax(logits * beta)).cast("float64")


class Isotonic(Family):
    """Converts ``IsotonicRegression``: a rising, piecewise linear function."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the interpolated values, [batch]; outside the range as ``out_of_bounds`` says."""
        points = np.asarray(model.X_thresholds_, np.float64)
        values = np.asarray(model.y_thresholds_, np.float64)
        rows = n.as_column(x.cast(np.asarray(model.X_thresholds_).dtype.name))
        wide = rows.cast("float64")
        found = interp_columns(wide, points[:, None], values)
        if model.out_of_bounds == "nan":
            outside = (wide < points[0]) | (wide > points[-1])
            found = n.where(outside, np.nan, found)
        return n.flat(found).cast(rows.dtype)

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the same values as :meth:`predict`."""
        return self.predict(model, x)


class Threshold(Family):
    """Converts binary classifiers with a chosen or tuned decision threshold."""

    columnwise = True

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the class on each row's side of the threshold, [batch]."""
        estimator = getattr(model, "estimator_", model.estimator)
        method = _method(model, estimator)
        classes = np.asarray(model.classes_)
        positive = _positive(model, classes)
        if method == "predict_proba":
            score = n.gather(ask(estimator, method, x), positive, axis=1)
        else:
            score = ask(estimator, method, x)
            score = score if positive == 1 else -score
        level = _level(model, method)
        order = classes if positive == 1 else classes[::-1]
        return n.take(score.graph, order, (score >= level).cast("int64"))

    def predict_proba(self, model: Any, x: Table) -> Answer:
        """Return the probabilities of the inner classifier, [batch, 2]."""
        return call(getattr(model, "estimator_", model.estimator), "predict_proba", x)

    def decision_function(self, model: Any, x: Table) -> Answer:
        """Return the scores of the inner classifier, [batch]."""
        return call(getattr(model, "estimator_", model.estimator), "decision_function", x)


def _method(model: Any, estimator: Any) -> str:
    if model.response_method != "auto":
        return str(model.response_method)
    return "predict_proba" if hasattr(estimator, "predict_proba") else "decision_function"


def _positive(model: Any, classes: Any) -> int:
    scorer = getattr(model, "_curve_scorer", None)
    label = private(scorer, "_get_pos_label")() if scorer is not None else model.pos_label
    return 1 if label is None else int(np.flatnonzero(classes == label)[0])


def _level(model: Any, method: str) -> float:
    if hasattr(model, "best_threshold_"):
        return float(model.best_threshold_)
    if model.threshold == "auto":
        return 0.5 if method == "predict_proba" else 0.0
    return float(model.threshold)


class Dummy(Family):
    """Converts dummy estimators, which give the same answer for every row."""

    columnwise = True

    def predict(self, model: Any, x: Table) -> Tensor:
        """Return the constant, or the class that the model always predicts."""
        rows = matrix_of(x)
        if hasattr(model, "constant_"):
            value = np.asarray(model.constant_).ravel()
            return n.repeated(rows, value[0] if model.n_outputs_ == 1 else value)
        return n.repeated(rows, model.predict(_one_row(model))[0])

    def predict_proba(self, model: Any, x: Table) -> Answer:
        """Return the shares of the classes for each row, [batch, classes]."""
        rows = matrix_of(x)
        found = model.predict_proba(_one_row(model))
        if isinstance(found, list):
            return [n.repeated(rows, each[0]) for each in found]
        return n.repeated(rows, found[0])


def _one_row(model: Any) -> Any:
    return np.zeros((1, getattr(model, "n_features_in_", 1)))


FAMILIES: Mapping[str, Family] = {
    "CalibratedClassifierCV": Calibrated(),
    "ClassifierChain": Chain(),
    "DummyClassifier": Dummy(),
    "DummyRegressor": Dummy(),
    "FixedThresholdClassifier": Threshold(),
    "FrozenEstimator": Delegate("estimator"),
    "IsotonicRegression": Isotonic(),
    "MultiOutputClassifier": Several(),
    "MultiOutputRegressor": Several(),
    "OneVsOneClassifier": OneVersusOne(),
    "OneVsRestClassifier": OneVersusRest(),
    "OutputCodeClassifier": OutputCode(),
    "RegressorChain": Chain(),
    "TunedThresholdClassifierCV": Threshold(),
    "_ConstantPredictor": Constant(),
}
