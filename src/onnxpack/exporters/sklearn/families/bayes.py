"""Converters of naive Bayes, quadratic discriminants, Gaussian mixtures and elliptic envelopes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, labels_at, private
from onnxpack.exporters.sklearn.tensor import Tensor


class Bayes(Family, ABC):
    """Converts classifiers that choose the class with the largest joint log likelihood."""

    @abstractmethod
    def joint(self, model: Any, x: Tensor) -> Tensor:
        """Return the joint log likelihoods, [batch, classes]."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class with the largest joint log likelihood, [batch]."""
        return labels_at(model, n.argmax(self.joint(model, x)))

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the class probabilities, [batch, classes]."""
        return n.softmax(self.joint(model, x))


class GaussianNB(Bayes):
    """Converts ``GaussianNB``: features are normally distributed within each class."""

    def joint(self, model: Any, x: Tensor) -> Tensor:
        """Return the joint log likelihoods, [batch, classes]."""
        x = n.floats(x)
        found = []
        for prior, mean, var in zip(model.class_prior_, model.theta_, model.var_, strict=True):
            constant = np.log(prior) - 0.5 * np.sum(np.log(2.0 * np.pi * var))
            spread = n.total((x - mean) ** 2.0 / var, keepdims=True)
            found.append(spread * -0.5 + constant)
        return n.concat(found)


class MultinomialNB(Bayes):
    """Converts ``MultinomialNB``: features are counts."""

    def joint(self, model: Any, x: Tensor) -> Tensor:
        """Return the joint log likelihoods, [batch, classes]."""
        return n.floats(x) @ model.feature_log_prob_.T + model.class_log_prior_


class ComplementNB(Bayes):
    """Converts ``ComplementNB``: its weights come from the counts of all other classes."""

    def joint(self, model: Any, x: Tensor) -> Tensor:
        """Return the joint log likelihoods, [batch, classes]."""
        found = n.floats(x) @ model.feature_log_prob_.T
        return found + model.class_log_prior_ if len(model.classes_) == 1 else found


class BernoulliNB(Bayes):
    """Converts ``BernoulliNB``: features are binary."""

    def joint(self, model: Any, x: Tensor) -> Tensor:
        """Return the joint log likelihoods, [batch, classes]."""
        if model.binarize is not None:
            x = (x > model.binarize).cast(x.dtype)
        absent = np.log(1 - np.exp(model.feature_log_prob_))
        found = n.floats(x) @ (model.feature_log_prob_ - absent).T
        return found + (model.class_log_prior_ + absent.sum(axis=1))


class CategoricalNB(Bayes):
    """Converts ``CategoricalNB``: features are category numbers."""

    def joint(self, model: Any, x: Tensor) -> Tensor:
        """Return the joint log likelihoods, [batch, classes]."""
        index = x.cast("int64")
        found: Tensor | None = None
        for i, logs in enumerate(model.feature_log_prob_):
            part = n.take(x.graph, logs.T, n.gather(index, i, axis=1))
            found = part if found is None else found + part
        assert found is not None  # noqa: S101 - a fitted model has a feature
        return found + model.class_log_prior_


class QuadraticDiscriminant(Bayes):
    """Converts ``QuadraticDiscriminantAnalysis``: one normal distribution per class."""

    def joint(self, model: Any, x: Tensor) -> Tensor:
        """Return the joint log likelihoods, [batch, classes]."""
        distances, logs = [], []
        for rotation, scaling, mean in zip(
            model.rotations_, model.scalings_, model.means_, strict=True
        ):
            turned = (x - mean) @ (rotation * scaling**-0.5)
            distances.append(n.total(turned * turned, keepdims=True))
            logs.append(np.sum(np.log(scaling)))
        return (n.concat(distances) + np.array(logs)) * -0.5 + np.log(model.priors_)


class Mixture(Family):
    """Converts ``GaussianMixture`` and ``BayesianGaussianMixture``."""

    def joint(self, model: Any, x: Tensor) -> Tensor:
        """Return the weighted log likelihoods, [batch, components]."""
        x = n.floats(x)
        found = [
            n.total((x - mean) @ root * ((x - mean) @ root), keepdims=True)
            for mean, root in zip(model.means_, _roots(model), strict=True)
        ]
        return n.concat(found) * -0.5 + _offsets(model)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the number of the most likely component, int64 [batch]."""
        return n.argmax(self.joint(model, x))

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the component probabilities, [batch, components]."""
        return n.softmax(self.joint(model, x))


def _roots(model: Any) -> list[Any]:
    """Return a square root of each component's precision matrix."""
    count, features = model.means_.shape
    roots = np.asarray(model.precisions_cholesky_)
    if model.covariance_type == "tied":
        return [roots] * count
    if model.covariance_type == "diag":
        return [np.diag(root) for root in roots]
    if model.covariance_type == "spherical":
        return [root * np.eye(features, dtype=roots.dtype) for root in roots]
    return list(roots)


def _offsets(model: Any) -> Any:
    """Return each component's weighted log likelihood at its own mean, [components]."""
    return np.diag(private(model, "_estimate_weighted_log_prob")(np.asarray(model.means_)))


class Envelope(Family):
    """Converts ``EllipticEnvelope``: outliers lie far from the centre by Mahalanobis distance."""

    def decision_function(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores, [batch]; outliers have negative scores."""
        gap = x.cast("float64") - np.asarray(model.location_)
        return -n.total(gap @ model.get_precision() * gap, 1) - float(model.offset_)

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return 1 for inliers and -1 for outliers, [batch]."""
        return n.where(self.decision_function(model, x) >= 0.0, 1, -1)


FAMILIES: dict[str, Family] = {
    "BayesianGaussianMixture": Mixture(),
    "BernoulliNB": BernoulliNB(),
    "CategoricalNB": CategoricalNB(),
    "ComplementNB": ComplementNB(),
    "EllipticEnvelope": Envelope(),
    "GaussianMixture": Mixture(),
    "GaussianNB": GaussianNB(),
    "MultinomialNB": MultinomialNB(),
    "QuadraticDiscriminantAnalysis": QuadraticDiscriminant(),
}
