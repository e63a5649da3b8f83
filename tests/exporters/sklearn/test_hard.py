"""Options that were once refused, or failed."""

from __future__ import annotations

import warnings
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor, kernels
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import ClassifierChain
from sklearn.neighbors import KNeighborsClassifier, LocalOutlierFactor, RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, NuSVC

random = np.random.default_rng(5)
X = random.normal(size=(240, 5))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.3)
MANY = (Y * 3 + np.digitize(X[:, 2], [-0.5, 0.5])).astype(int)


@pytest.mark.parametrize(
    ("metric", "settings"),
    [
        ("sqeuclidean", None),
        ("seuclidean", {"V": np.arange(1.0, 6)}),
        ("mahalanobis", {"VI": np.diag(np.arange(1.0, 6)) + 0.1}),
        ("minkowski", {"w": np.arange(1.0, 6)}),
        ("minkowski", {"w": np.arange(1.0, 6), "p": 1}),
    ],
)
def test_metrics(check: Any, metric: str, settings: Any) -> None:
    algorithm = "brute" if metric == "sqeuclidean" else "auto"
    with warnings.catch_warnings(action="ignore"):  # of p among the metric's parameters
        model = KNeighborsClassifier(metric=metric, metric_params=settings, algorithm=algorithm)
        check.proven(model.fit(X, Y), X[:20], X)


@pytest.mark.parametrize("metric", ["canberra", "braycurtis", "hamming"])
def test_metrics_by_which_many_rows_are_equally_far(check: Any, metric: str) -> None:
    model = KNeighborsClassifier(metric=metric).fit(np.abs(X) + 0.5, Y)
    check.refused(model, X[:20], "equally far from several training rows")


@pytest.mark.parametrize("kind", [SVC, NuSVC])
@pytest.mark.parametrize("y", [Y > 0, Y, MANY], ids=["two", "three", "nine"])
def test_probabilities_of_pairs_are_coupled(check: Any, kind: Any, y: Any) -> None:
    options = {"nu": 0.1} if kind is NuSVC else {"C": 0.5}
    with warnings.catch_warnings(action="ignore"):  # scikit-learn advises calibration instead
        model = kind(probability=True, random_state=0, **options).fit(X, y)
    check.proven(model, X[:30], np.concatenate([X, X * 9]))


@pytest.mark.parametrize("loss", ["log_loss", "exponential"])
@pytest.mark.parametrize("y", [Y > 0, Y], ids=["two", "three"])
def test_boosting_that_begins_with_a_classifier(check: Any, loss: Any, y: Any) -> None:
    if loss == "exponential" and y is Y:
        y = Y > 1
    # Not so sure that a probability of 1 - 1e-6, known to float32, is the other one's 1e-6.
    init = LogisticRegression(C=0.001)
    model = GradientBoostingClassifier(init=init, loss=loss, n_estimators=5, random_state=0)
    check.proven(model.fit(X, y), X[:30], X, fine=1e-5)


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(sparse_output=False),
        OrdinalEncoder(encoded_missing_value=-1),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32),
    ],
    ids=repr,
)
def test_nothing_is_a_category_of_numbers(check: Any, encoder: Any) -> None:
    rows = random.integers(0, 4, size=(60, 2)).astype(float)
    rows[::7, 0] = np.nan
    check.proven(encoder.fit(rows), rows[:20], rows)


def test_categories_with_gaps_in_histogram_boosting(check: Any) -> None:
    rows = X.copy()
    rows[:, 0] = random.integers(0, 9, len(X))
    rows[::5, 0] = np.nan
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features=[0])
    check.proven(model.fit(rows, Y + (rows[:, 0] > 4)), rows[:30], rows)


def test_the_median_of_whole_numbers(check: Any) -> None:
    rows = random.integers(0, 4, size=(60, 3))
    check.proven(SimpleImputer(missing_values=0, strategy="median").fit(rows), rows[:20], rows)


def test_weights_of_transformers(check: Any) -> None:
    parts = [("a", StandardScaler(), [0, 1]), ("b", MinMaxScaler(), [3])]
    model = ColumnTransformer(parts, transformer_weights={"a": 2.5}, remainder="passthrough")
    check.proven(model.fit(X), X[:20], X)


@pytest.mark.parametrize("shape", ["uniform", "normal"])
def test_quantiles_of_a_target(check: Any, shape: Any) -> None:
    quantiles = QuantileTransformer(n_quantiles=50, output_distribution=shape)
    model = TransformedTargetRegressor(Ridge(), transformer=quantiles)
    check.proven(model.fit(X, np.exp(X[:, 0])), X[:30], np.concatenate([X, X * 4]), fine=1e-7)


def test_an_estimator_that_draws_its_answers(check: Any) -> None:
    model = DummyClassifier(strategy="stratified").fit(X, Y)
    error = check.refused(model, X[:30], "gives random answers")
    assert "strategy='prior'" in error.remedy


def test_kernels_by_name(check: Any) -> None:
    kernel = kernels.PairwiseKernel(metric="laplacian", gamma=0.3)
    model = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.1).fit(X, X[:, 0])
    check.proven(model, X[:30], X)


@pytest.mark.parametrize(
    "model",
    [
        KNeighborsClassifier(),
        LocalOutlierFactor(novelty=True),
        make_pipeline(Nystroem(n_components=9, random_state=0), LogisticRegression()),
    ],
    ids=["neighbours", "outliers", "kernel"],
)
def test_fitted_with_sparse_rows(check: Any, model: Any) -> None:
    check.proven(model.fit(sp.csr_matrix(X), Y), X[:30], X)


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (GaussianProcessClassifier(multi_class="one_vs_one", optimizer=None), Y),
        (ClassifierChain(LogisticRegression()), np.stack([Y, Y[::-1]], axis=1)),
    ],
    ids=["one against one", "chain of three classes"],
)
def test_a_method_that_always_fails_is_left_out(check: Any, model: Any, y: Any) -> None:
    pack = check.proven(model.fit(X[:80], y[:80]), X[:30], X)
    assert [spec.name for spec in pack.manifest.signature.outputs] == ["label"]
    assert "predict_proba() failed on the sample" in pack.manifest.notes[0]


def test_rows_at_the_radius_itself(check: Any) -> None:
    rows = np.random.default_rng(0).integers(0, 30, size=(120, 3)) / 10
    model = RadiusNeighborsClassifier(1.0, outlier_label=0).fit(rows, np.arange(120) % 3)
    gaps = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    assert (np.abs(gaps - 1) < 1e-9).any()
    check.proven(model, rows[:40], rows)


@pytest.mark.parametrize("y", [Y > 0, Y], ids=["two", "three"])
def test_scores_of_lightgbm_inside_of_others(check: Any, y: Any) -> None:
    inner = lgb.LGBMClassifier(n_estimators=4, verbose=-1, n_jobs=1)
    check.proven(CalibratedClassifierCV(inner, cv=2).fit(X, y), X[:30], X)


def test_a_difference_in_a_graph_with_many_texts_is_told(check: Any) -> None:
    names = np.array([f"a rather long name of a class, number {number}" for number in range(25)])
    rows = random.integers(0, 3, size=(400, 2)).astype(float)
    model = KNeighborsClassifier(7).fit(rows, names[random.integers(0, 25, 400)])
    check.refused(model, rows, "answers differently in")
