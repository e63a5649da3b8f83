"""Linear models: a product with the coefficients, and a link where there is one."""

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
    """``x @ coef.T + intercept``; of one target without a second axis."""
    if not x.floating:
        x = x.cast("float64")
    coef = np.asarray(coef)
    # Without fit_intercept it is the Python number 0.0, by which NumPy keeps float32 as it is.
    shift = intercept if type(intercept) in (float, int) else np.asarray(intercept)
    if coef.ndim == 1:
        shift = shift.ravel() if isinstance(shift, np.ndarray) else shift
        return n.flat(x @ coef[:, None]) + shift
    return x @ coef.T + shift


class LinearRegressor(Family):
    """``coef_`` and ``intercept_``."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The linear prediction."""
        return affine(x, model.coef_, getattr(model, "intercept_", 0.0))


class LogLink(LinearRegressor):
    """Generalised linear models: the inverse of the link follows."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The mean, by the link's inverse."""
        raw = super().predict(model, x)
        link = type(private(model, "_base_loss").link).__name__
        inverse = {"LogLink": n.exp, "LogitLink": n.expit}.get(link)
        return raw if inverse is None else inverse(raw)


class LinearClassifier(Family):
    """Scores by a product; the label is their sign, or the place of the largest."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """One score a class; of two classes, one score."""
        scores = affine(x, model.coef_, model.intercept_)
        return n.flat(scores) if np.ndim(model.coef_) == 2 and len(model.coef_) == 1 else scores

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The class."""
        scores = self.decision_function(model, x)
        if len(np.atleast_2d(model.coef_)) == 1:
            return label_if(model, scores > 0.0)
        return labels_at(model, n.argmax(scores))


class RidgeLabels(LinearClassifier):
    """Ridge classifiers, which take several labels a row too."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """The class, or an indicator for each label."""
        if private(model, "_label_binarizer").y_type_.startswith("multilabel"):
            return (self.decision_function(model, x) > 0.0).cast("int64")
        return super().predict(model, x)


class LogisticRegression(LinearClassifier):
    """Probabilities by the logistic function, or by softmax."""

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """One a class."""
        scores = self.decision_function(model, x)
        if len(model.classes_) == 2:
            return two_columns(n.expit(scores))
        return self._many(model, scores)

    def _many(self, model: Any, scores: Tensor) -> Tensor:
        return n.softmax(scores)


class OneVersusRest(LogisticRegression):
    """Logistic functions, normalised."""

    def _many(self, model: Any, scores: Tensor) -> Tensor:
        return normalized(n.expit(scores))


class StochasticGradient(OneVersusRest):
    """Of the loss ``modified_huber`` too."""

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """One a class."""
        if model.loss != "modified_huber":
            return super().predict_proba(model, x)
        shares = (n.clip(self.decision_function(model, x), -1.0, 1.0) + 1.0) / 2.0
        return two_columns(shares) if len(model.classes_) == 2 else normalized(shares)


class OneClassGradient(Family):
    """A linear one-class machine."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Positive inside."""
        return n.flat(affine(x, np.atleast_2d(model.coef_), -np.asarray(model.offset_)))

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """1 inside, -1 outside."""
        return n.where(self.decision_function(model, x) >= 0.0, 1, -1)


class Discriminant(LogisticRegression):
    """Linear discriminant analysis, which also projects."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """The most discriminative directions."""
        kept = private(model, "_max_components")
        if model.solver == "svd":
            return (x - model.xbar_) @ model.scalings_[:, :kept]
        return x @ model.scalings_[:, :kept]


class Delegate(Family):
    """An estimator that asks another one: RANSAC, self-training, a search.

    Args:
        attribute: where the other one stands.
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
