"""Converters of kernel approximations, kernel ridge, kernel PCA and Gaussian processes."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.overrides import library_class, refuse_overrides
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family, ask, label_if, private
from onnxpack.exporters.sklearn.distance import kernel_matrix
from onnxpack.exporters.sklearn.interpolate import erf
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.signature import Array


def settings_of(model: Any) -> dict[str, Any]:
    """Return the parameters of an estimator's kernel by name."""
    own = {key: getattr(model, key, None) for key in ("gamma", "degree", "coef0")}
    own["gamma"] = getattr(model, "gamma_", own["gamma"])
    return {**own, **(model.kernel_params or {})}


class KernelRidge(Family):
    """Converts ``KernelRidge``."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the predicted targets, [batch] or [batch, targets]."""
        matrix = kernel_matrix(x, model.X_fit_, model.kernel, settings_of(model))
        coefficients = np.asarray(model.dual_coef_)
        if coefficients.ndim == 1:
            return n.flat(matrix @ coefficients[:, None])
        return matrix @ coefficients


class KernelComponents(Family):
    """Converts ``KernelPCA``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the rows in the principal components, [batch, components]."""
        matrix = kernel_matrix(x, model.X_fit_, model.kernel, settings_of(model))
        centred = ask(private(model, "_centerer"), "transform", matrix)
        kept = np.flatnonzero(model.eigenvalues_)
        scaled = np.zeros_like(model.eigenvectors_)
        scaled[:, kept] = model.eigenvectors_[:, kept] / np.sqrt(model.eigenvalues_[kept])
        return centred @ scaled


class Nystroem(Family):
    """Converts ``Nystroem``: approximates a kernel by some of the training rows."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the approximate kernel features, [batch, components]."""
        settings = {**settings_of(model), **private(model, "_get_kernel_params")()}
        matrix = kernel_matrix(x, model.components_, model.kernel, settings)
        return matrix @ model.normalization_.T


class Fourier(Family):
    """Converts ``RBFSampler`` and ``SkewedChi2Sampler``: random Fourier features."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the random Fourier features, [batch, components]."""
        x = n.floats(x)
        if hasattr(model, "skewedness"):
            x = n.log(x + float(model.skewedness))
        angle = x @ model.random_weights_ + model.random_offset_
        return n.cos(angle) * float(np.sqrt(2.0 / model.n_components))


class AdditiveChi2(Family):
    """Converts ``AdditiveChi2Sampler``, which samples the spectrum of the additive chi² kernel."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the sampled features, [batch, features × (2 × steps - 1)]."""
        x = n.floats(x)
        steps = model.sample_steps
        interval = model.sample_interval or {1: 0.8, 2: 0.5, 3: 0.4}[steps]
        zero = n.equal(x, 0.0)
        safe = n.where(zero, 1.0, x)
        logs = n.log(safe) * float(interval)
        found = [n.sqrt(x * float(interval))]
        for j in range(1, steps):
            factor = n.sqrt(x * float(2 * interval / np.cosh(np.pi * j * interval)))
            angle = logs * float(j)
            found += [factor * n.cos(angle), factor * n.cos(angle - float(np.pi / 2))]
        return n.concat([n.where(zero, 0.0, each) for each in found])


class CountSketch(Family):
    """Converts ``PolynomialCountSketch``; its Fourier transforms are written as matrix products."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the sketch of the polynomial kernel, float64 [batch, components]."""
        x = n.floats(x).cast("float64") * float(np.sqrt(model.gamma))
        if model.coef0 != 0:
            x = n.concat([x, n.column(x, 0) * 0.0 + float(np.sqrt(model.coef0))])
        size = model.n_components
        angle = -2 * np.pi * np.outer(np.arange(size), np.arange(size)) / size
        real, imaginary = x.graph.constant(np.cos(angle)), x.graph.constant(np.sin(angle))
        product: tuple[Tensor, Tensor] | None = None
        for hashes, bits in zip(model.indexHash_, model.bitHash_, strict=True):
            table = np.zeros((len(hashes), size))
            table[np.arange(len(hashes)), hashes] = bits
            sketch = x @ table
            part = sketch @ real, sketch @ imaginary
            product = part if product is None else _times(product, part)
        assert product is not None  # noqa: S101 - the degree is at least 1
        return (product[0] @ real + product[1] @ imaginary) / float(size)


def _times(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def covariance(kernel: Any, x: Tensor, points: Array) -> Tensor:
    """Return a Gaussian process kernel between rows and training rows, [batch, points].

    Raises:
        ExportError: the kernel is not supported.
    """
    name = _name_of(kernel)
    if name in ("Sum", "Product"):
        one, two = covariance(kernel.k1, x, points), covariance(kernel.k2, x, points)
        return one + two if name == "Sum" else one * two
    if name == "Exponentiation":
        return covariance(kernel.kernel, x, points) ** float(kernel.exponent)
    if name == "ConstantKernel":
        return n.repeated(x, np.full(len(points), float(kernel.constant_value)))
    if name == "PairwiseKernel":
        settings = {"gamma": kernel.gamma, **(kernel.pairwise_kernels_kwargs or {})}
        return kernel_matrix(x, points, kernel.metric, settings)
    if name == "WhiteKernel":
        return n.repeated(x, np.zeros(len(points)))
    if name == "DotProduct":
        return x @ points.T + float(kernel.sigma_0**2)
    if name == "CompoundKernel":
        raise ExportError("a CompoundKernel returns several matrices, which is not supported")
    return _stationary(kernel, name, x, points)


def _name_of(kernel: Any) -> str:
    """Return the name of the scikit-learn class that a kernel is an instance of.

    Raises:
        ExportError: the kernel's values come from the user's own code.
    """
    known = library_class(kernel, {"sklearn"})
    if known.__module__ != "sklearn.gaussian_process.kernels":
        raise ExportError(f"the kernel {type(kernel).__qualname__} is not scikit-learn's")
    refuse_overrides([kernel], {"sklearn"})
    return known.__name__


def _stationary(kernel: Any, name: str, x: Tensor, points: Array) -> Tensor:
    scale = np.asarray(kernel.length_scale, np.float64)
    if name == "RBF":
        return n.exp(n.squared_distances(x / scale, points / scale) * -0.5)
    if name == "RationalQuadratic":
        far = n.squared_distances(x, points)
        base = far / float(2 * kernel.alpha * kernel.length_scale**2) + 1.0
        return base ** float(-kernel.alpha)
    if name == "ExpSineSquared":
        far = n.sqrt(n.squared_distances(x, points)) * float(np.pi / kernel.periodicity)
        sine = n.cos(far - float(np.pi / 2)) / float(kernel.length_scale)
        return n.exp(sine * sine * -2.0)
    if name == "Matern":
        return _matern(float(kernel.nu), n.sqrt(n.squared_distances(x / scale, points / scale)))
    raise ExportError(f"the kernel {name} is not supported")


def _matern(nu: float, far: Tensor) -> Tensor:
    if nu == 0.5:
        return n.exp(-far)
    if nu == np.inf:
        return n.exp(far * far / -2.0)
    if nu == 1.5:
        scaled = far * float(np.sqrt(3))
        return (scaled + 1.0) * n.exp(-scaled)
    if nu == 2.5:
        scaled = far * float(np.sqrt(5))
        return (scaled * scaled / 3.0 + scaled + 1.0) * n.exp(-scaled)
    raise ExportError(f"Matern with nu={nu} is not supported; 0.5, 1.5, 2.5 and inf are")


class ProcessRegressor(Family):
    """Converts ``GaussianProcessRegressor``."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the mean of the process, [batch] or [batch, targets]."""
        if not hasattr(model, "X_train_"):
            raise ExportError("it was not fitted")
        points = np.asarray(model.X_train_, np.float64)
        matrix = covariance(model.kernel_, x.cast("float64"), points)
        weights = np.asarray(model.alpha_)
        found = matrix @ weights.reshape(len(points), -1)
        scale, shift = private(model, "_y_train_std"), private(model, "_y_train_mean")
        found = found * scale + shift
        return n.flat(found) if weights.ndim == 1 or weights.shape[1] == 1 else found


class ProcessClassifier(Family):
    """Converts ``GaussianProcessClassifier``, which uses Laplace's approximation."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the most likely class, [batch]."""
        base = model.base_estimator_
        if type(base).__name__.startswith("_Binary"):
            return label_if(model, _latent_mean(base, x) > 0.0)
        return ask(base, "predict", x)

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the class probabilities, [batch, classes]."""
        return ask(model.base_estimator_, "predict_proba", x)


class BinaryProcess(Family):
    """Converts scikit-learn's internal Gaussian process classifier for two classes."""

    def predict(self, model: Any, x: Tensor) -> Tensor:
        """Return the class by the sign of the latent mean, [batch]."""
        return label_if(model, _latent_mean(model, x) > 0.0)

    def predict_proba(self, model: Any, x: Tensor) -> Tensor:
        """Return the probabilities of both classes, [batch, 2].

        scikit-learn approximates the logistic integral by a sum of error functions, and so does the
        graph.
        """
        from sklearn.gaussian_process._gpc import COEFS, LAMBDAS

        mean, variance = (n.as_column(each) for each in _latent(model, x))
        alpha = 1.0 / (variance * 2.0)
        scales, weights = LAMBDAS.ravel(), COEFS.ravel()
        gamma = mean * scales
        inner = erf(gamma * n.sqrt(alpha / (alpha + scales**2)))
        outer = n.sqrt(float(np.pi) / alpha) / (n.sqrt(variance * float(2 * np.pi)) * 2.0)
        terms = outer * inner * weights
        summed = n.column(terms, 0)
        for place in range(1, len(weights)):
            summed = summed + n.column(terms, place)
        positive = summed + float(0.5 * weights.sum())
        return n.concat([1.0 - positive, positive])


def _latent_mean(model: Any, x: Tensor) -> Tensor:
    points = np.asarray(model.X_train_, np.float64)
    matrix = covariance(model.kernel_, x.cast("float64"), points)
    return n.flat(matrix @ np.asarray(model.y_train_ - model.pi_)[:, None])


def _latent(model: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    points = np.asarray(model.X_train_, np.float64)
    matrix = covariance(model.kernel_, x.cast("float64"), points)
    mean = n.flat(matrix @ np.asarray(model.y_train_ - model.pi_)[:, None])
    solved = matrix @ (np.linalg.inv(model.L_) @ np.diag(model.W_sr_)).T
    return mean, _diagonal(model.kernel_, x) - n.total(solved * solved, 1)


def _diagonal(kernel: Any, x: Tensor) -> Tensor:
    """Return the kernel of each row with itself, [batch]."""
    name = _name_of(kernel)
    if name in ("Sum", "Product"):
        one, two = _diagonal(kernel.k1, x), _diagonal(kernel.k2, x)
        return one + two if name == "Sum" else one * two
    if name == "Exponentiation":
        return _diagonal(kernel.kernel, x) ** float(kernel.exponent)
    if name == "DotProduct":
        wide = x.cast("float64")
        return n.total(wide * wide, 1) + float(kernel.sigma_0**2)
    value = {
        "ConstantKernel": lambda: kernel.constant_value,
        "WhiteKernel": lambda: kernel.noise_level,
    }.get(name, lambda: 1.0)()
    return n.repeated(x, np.float64(value))


FAMILIES: dict[str, Family] = {
    "AdditiveChi2Sampler": AdditiveChi2(),
    "GaussianProcessClassifier": ProcessClassifier(),
    "GaussianProcessRegressor": ProcessRegressor(),
    "KernelPCA": KernelComponents(),
    "KernelRidge": KernelRidge(),
    "Nystroem": Nystroem(),
    "PolynomialCountSketch": CountSketch(),
    "RBFSampler": Fourier(),
    "SkewedChi2Sampler": Fourier(),
    "_BinaryGaussianProcessClassifierLaplace": BinaryProcess(),
}
