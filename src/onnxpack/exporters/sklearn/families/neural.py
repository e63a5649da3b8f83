"""Converters of neural networks: layers of matrix products and activations."""

from __future__ import annotations

from typing import Any

from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, label_if, labels_at, private, two_columns
from onnxpack.exporters.sklearn.tensor import Tensor

ACTIVATIONS = {
    "exp": n.exp,
    "identity": lambda x: x,
    "logistic": n.expit,
    "relu": lambda x: n.maximum(x, 0.0),
    "softmax": n.softmax,
    "tanh": n.tanh,
}


class Perceptron(Family):
    """Converts ``MLPRegressor``."""

    def outputs(self, model: Any, x: Tensor) -> Tensor:
        """Return the activations of the last layer, [batch, outputs]."""
        x = n.floats(x)
        last = len(model.coefs_) - 1
        for i, (weights, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
            x = x @ weights + bias
            x = ACTIVATIONS[model.out_activation_ if i == last else model.activation](x)
        return x

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the predicted targets, [batch, outputs]; for a single output, [batch]."""
        found = self.outputs(model, x)
        return n.flat(found) if model.n_outputs_ == 1 else found


class PerceptronClassifier(Perceptron):
    """Converts ``MLPClassifier``, whose outputs are probabilities."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class, [batch], or an indicator for each label, [batch, labels]."""
        found = self.outputs(model, x)
        if private(model, "_label_binarizer").y_type_.startswith("multilabel"):
            return (found > 0.5).cast("int64")
        if model.n_outputs_ == 1:
            return label_if(model, n.flat(found) > 0.5)
        return labels_at(model, n.argmax(found))

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the class probabilities, [batch, classes]."""
        found = self.outputs(model, x)
        return two_columns(n.flat(found)) if model.n_outputs_ == 1 else found


class Boltzmann(Family):
    """Converts ``BernoulliRBM``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the probabilities of the hidden units, [batch, components]."""
        x = n.floats(x)
        return n.expit(x @ model.components_.T + model.intercept_hidden_)


FAMILIES: dict[str, Family] = {
    "BernoulliRBM": Boltzmann(),
    "MLPClassifier": PerceptronClassifier(),
    "MLPRegressor": Perceptron(),
}
