"""Converters of linear models: a matrix product, and a link function if the model has one."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import (
    Family,
    label_if,
    labels_at,
    normalized,
    private,
    two_columns,
)
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.signature import Array


def affine(x: Tensor, coef: Array, intercept: Any) -> Tensor:
    """Return ``x @ coef.T + intercept``, [batch] for 1-D coefficients, else [batch, targets]."""
    if not x.floating:
        x = x.cast("float64")
    coef = np.asarray(coef)
    # With fit_intercept=False the intercept is the Python float 0.0, which keeps float32 in NumPy.
    shift = intercept if type(intercept) in (float, int) else np.asarray(intercept)
    if coef.ndim == 1:
        shift = shift.ravel() if isinstance(shift, np.ndarray) else shift
        return n.flat(x @ coef[:, None]) + shift
    return x @ coef.T + shift


class LinearRegressor(Family):
    """Converts regressors that keep ``coef_`` and ``intercept_``."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the linear prediction, [batch] or [batch, targets]."""
        return affine(x, model.coef_, getattr(model, "intercept_", 0.0))


class LogLink(LinearRegressor):
    """Converts generalised linear models: the inverse link of the linear prediction."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the predicted mean, [batch]."""
        raw = super().predict(model, x)
        link = type(private(model, "_base_loss").link).__name__
        inverse = {"LogLink": n.exp, "LogitLink": n.expit}.get(link)
        return raw if inverse is None else inverse(raw)


class LinearClassifier(Family):
    """Converts linear classifiers: the label is the sign of the score, or the largest score."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores, [batch, classes]; for two classes, [batch]."""
        scores = affine(x, model.coef_, model.intercept_)
        return n.flat(scores) if np.ndim(model.coef_) == 2 and len(model.coef_) == 1 else scores

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the largest score, [batch]."""
        scores = self.decision_function(model, x)
        if len(np.atleast_2d(model.coef_)) == 1:
            return label_if(model, scores > 0.0)
        return labels_at(model, n.argmax(scores))


class RidgeLabels(LinearClassifier):
    """Converts ridge classifiers, including those with several labels per row."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class, [batch], or an indicator for each label, [batch, labels]."""
        if private(model, "_label_binarizer").y_type_.startswith("multilabel"):
            return (self.decision_function(model, x) > 0.0).cast("int64")
        return super().predict(model, x)


class LogisticRegression(LinearClassifier):
    """Converts classifiers with probabilities by the logistic function or by softmax."""

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the class probabilities, [batch, classes]."""
        scores = self.decision_function(model, x)
        if len(model.classes_) == 2:
            return two_columns(n.expit(scores))
        return self._many(model, scores)

    def _many(self, model: Any, scores: Tensor) -> Tensor:
        return n.softmax(scores)


class OneVersusRest(LogisticRegression):
    """Converts classifiers whose probabilities are normalised logistic functions."""

    def _many(self, model: Any, scores: Tensor) -> Tensor:
        return normalized(n.expit(scores))


class StochasticGradient(OneVersusRest):
    """Converts ``SGDClassifier``, including its loss ``modified_huber``."""

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the class probabilities, [batch, classes]."""
        if model.loss != "modified_huber":
            return super().predict_proba(model, x)
        shares = (n.clip(self.decision_function(model, x), -1.0, 1.0) + 1.0) / 2.0
        return two_columns(shares) if len(model.classes_) == 2 else normalized(shares)


class OneClassGradient(Family):
    """Converts ``SGDOneClassSVM``."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores, [batch]; inliers have positive scores."""
        return n.flat(affine(x, np.atleast_2d(model.coef_), -np.asarray(model.offset_)))

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return 1 for inliers and -1 for outliers, [batch]."""
        return n.where(self.decision_function(model, x) >= 0.0, 1, -1)


class Discriminant(LogisticRegression):
    """Converts ``LinearDiscriminantAnalysis``, which classifies and projects."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows in the most discriminative directions, [batch, components]."""
        kept = private(model, "_max_components")
        if model.solver == "svd":
            return (x - model.xbar_) @ model.scalings_[:, :kept]
        return x @ model.scalings_[:, :kept]


class Delegate(Family):
    """Converts estimators that pass every call on to one inner estimator, such as RANSAC.

    Args:
        attribute: the name of the attribute that holds the inner estimator.
    """

    columnwise = True

    def __init__(self, attribute: str = "estimator_") -> None:
        self._attribute = attribute

    def __getattr__(self, method: str) -> Any:
        if method not in {"predict", "predict_proba", "decision_function", "transform"}:
            raise AttributeError(method)
        from onnxpack.exporters.sklearn.convert import call

        return lambda model, x: call(getattr(model, self._attribute), method, x)


LINEAR = LinearRegressor()
FAMILIES: dict[str, Family] = {
    **dict.fromkeys(
        (
            "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor",
            "Lars", "LarsCV", "Lasso", "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC",
            "LinearRegression", "LinearSVR", "MultiTaskElasticNet", "MultiTaskElasticNetCV",
            "MultiTaskLasso", "MultiTaskLassoCV", "OrthogonalMatchingPursuit",
            "OrthogonalMatchingPursuitCV", "PassiveAggressiveRegressor", "QuantileRegressor",
            "Ridge", "RidgeCV", "SGDRegressor", "TheilSenRegressor",
        ),
        LINEAR,
    ),
    **dict.fromkeys(("GammaRegressor", "PoissonRegressor", "TweedieRegressor"), LogLink()),
    **dict.fromkeys(("LinearSVC", "PassiveAggressiveClassifier", "Perceptron"), LinearClassifier()),
    **dict.fromkeys(("RidgeClassifier", "RidgeClassifierCV"), RidgeLabels()),
    "LinearDiscriminantAnalysis": Discriminant(),
    "LogisticRegression": LogisticRegression(),
    "LogisticRegressionCV": LogisticRegression(),
    "RANSACRegressor": Delegate(),
    "SGDClassifier": StochasticGradient(),
    "SGDOneClassSVM": OneClassGradient(),
    "SelfTrainingClassifier": Delegate(),
}  # fmt: skip
