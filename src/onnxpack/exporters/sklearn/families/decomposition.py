"""Converters of decompositions, random projections and cross decompositions."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, private
from onnxpack.exporters.sklearn.tensor import Tensor


class Principal(Family):
    """Converts ``PCA`` and ``IncrementalPCA``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the centred rows in the principal components, [batch, components]."""
        x = n.floats(x)
        components = np.asarray(model.components_)
        found = x @ components.T - model.mean_.reshape(1, -1) @ components.T
        if not model.whiten:
            return found
        scale = np.sqrt(model.explained_variance_)
        return found / np.maximum(scale, np.finfo(scale.dtype).eps)


class Independent(Family):
    """Converts ``FastICA``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the independent sources of the rows, [batch, components]."""
        x = n.floats(x)
        if model.whiten:
            x = (x - model.mean_).cast(x.dtype)
        return x @ model.components_.T


class Factors(Family):
    """Converts ``FactorAnalysis``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the expected factors of the rows, [batch, components]."""
        weights = model.components_ / model.noise_variance_
        covariance = np.linalg.inv(np.eye(len(model.components_)) + weights @ model.components_.T)
        return (n.floats(x) - model.mean_) @ weights.T @ covariance


class Product(Family):
    """Converts projections that are one matrix product with ``components_``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the projected rows, [batch, components]."""
        components = model.components_
        dense = components.toarray() if hasattr(components, "toarray") else components
        return n.floats(x) @ np.asarray(dense).T


class SparsePrincipal(Family):
    """Converts ``SparsePCA`` and ``MiniBatchSparsePCA``: a ridge regression on the components."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the ridge coefficients of the rows, [batch, components]."""
        components = np.asarray(model.components_)
        gram = components @ components.T + model.ridge_alpha * np.eye(len(components))
        codes = np.linalg.solve(gram, components).astype(components.dtype)
        return (n.floats(x) - model.mean_) @ codes.T


class Coder(Family):
    """Converts sparse coders that use a threshold.

    Other algorithms iterate until they converge and are not supported.
    """

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the sparse codes, [batch, components]; ``split_sign`` doubles the columns."""
        if model.transform_algorithm != "threshold":
            raise ExportError(
                f"its codes are found by {model.transform_algorithm!r}, in steps until they "
                "converge; transform_algorithm='threshold' is one product"
            )
        dictionary = np.asarray(getattr(model, "components_", getattr(model, "dictionary", None)))
        alpha = getattr(model, "alpha", None)
        alpha = model.transform_alpha if model.transform_alpha is not None else alpha
        product = n.floats(x) @ dictionary.T
        level = 1.0 if alpha is None else float(alpha)
        code = n.sign(product) * n.maximum(n.absolute(product) - level, 0.0)
        code = n.maximum(code, 0.0) if model.positive_code else code
        if not model.split_sign:
            return code
        return n.concat([n.maximum(code, 0.0), n.maximum(-code, 0.0)])


class PartialLeastSquares(Family):
    """Converts ``PLSRegression``, ``PLSCanonical`` and ``CCA``, which predict and project."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores of the rows, [batch, components]."""
        x = n.floats(x)
        x = (x - private(model, "_x_mean")).cast(x.dtype)
        x = (x / private(model, "_x_std")).cast(x.dtype)
        return x @ model.x_rotations_

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the predicted targets, [batch] or [batch, targets]."""
        x = n.floats(x)
        x = (x - private(model, "_x_mean")).cast(x.dtype)
        found = x @ model.coef_.T + model.intercept_
        return n.flat(found) if getattr(model, "_predict_1d", False) else found


class PartialSingular(Family):
    """Converts ``PLSSVD``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the scores of the rows, [batch, components]."""
        rows = x.cast("float64") - private(model, "_x_mean")
        return rows / private(model, "_x_std") @ model.x_weights_


class Embedding(Family):
    """Rejects ``LocallyLinearEmbedding``, which solves a system of equations for each row."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Raise an error: ONNX has no solver of linear systems."""
        raise ExportError("it solves a system of equations for each row, which ONNX cannot do")


class Factorised(Family):
    """Rejects estimators that iterate over a whole batch of rows until they converge."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Raise an error: the iterations cannot be written as a graph."""
        raise ExportError(
            f"{type(model).__name__} finds its answer in steps until they converge, over the "
            "whole batch; TruncatedSVD and PCA are one product"
        )


PRODUCT, CODER, FACTORISED = Product(), Coder(), Factorised()
FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("CCA", "PLSCanonical", "PLSRegression"), PartialLeastSquares()),
    **dict.fromkeys(("DictionaryLearning", "MiniBatchDictionaryLearning", "SparseCoder"), CODER),
    **dict.fromkeys(
        ("GaussianRandomProjection", "SparseRandomProjection", "TruncatedSVD"), PRODUCT
    ),
    **dict.fromkeys(("LatentDirichletAllocation", "MiniBatchNMF", "NMF"), FACTORISED),
    **dict.fromkeys(("MiniBatchSparsePCA", "SparsePCA"), SparsePrincipal()),
    **dict.fromkeys(("IncrementalPCA", "PCA"), Principal()),
    "FactorAnalysis": Factors(),
    "FastICA": Independent(),
    "LocallyLinearEmbedding": Embedding(),
    "PLSSVD": PartialSingular(),
}
