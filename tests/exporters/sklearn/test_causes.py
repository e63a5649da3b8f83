"""What is refused, and what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import DBSCAN
from sklearn.decomposition import NMF
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

import onnxpack
from onnxpack.errors import SampleError, TargetError

X = np.abs(np.random.default_rng(0).normal(size=(60, 3)))
Y = (np.arange(60) % 3).astype(int)


class Doubler(TransformerMixin, BaseEstimator):
    """A user's own."""

    def fit(self, x: Any, y: Any = None) -> Any:
        self.fitted_ = True
        return self

    def transform(self, x: Any) -> Any:
        return x * 2


class TwiceAsBold(LinearRegression):
    """A subclass that does something else."""

    def predict(self, x: Any) -> Any:
        return super().predict(x) * 2


def own_metric(a: Any, b: Any) -> float:
    return float(np.abs(a - b).sum())


@pytest.mark.parametrize(
    ("model", "word", "remedy"),
    [
        (
            make_pipeline(Doubler(), LinearRegression()),
            'step 1, "doubler": ',
            "use a scikit-learn estimator",
        ),
        (TwiceAsBold(), "TwiceAsBold.predict is not the library's own", "copy.copy(model)"),
        (
            make_pipeline(FunctionTransformer(lambda x: x**3), LinearRegression()),
            "the function '<lambda>' is Python code",
            "np.log1p",
        ),
        (make_pipeline(NMF(2, max_iter=500), LinearRegression()), "until they converge", "PCA"),
        (KNeighborsClassifier(metric=own_metric), "the metric", "'manhattan'"),
        (SVC(kernel=lambda a, b: a @ b.T), "custom function", "named by a string"),
    ],
)
def test_causes(check: Any, model: Any, word: str, remedy: str) -> None:
    error = check.refused(model.fit(X, Y), X, word)
    assert remedy in error.remedy
    assert str(error).count(word) == 1


def test_outliers_among_the_training_rows_alone(check: Any) -> None:
    error = check.refused(LocalOutlierFactor().fit(X), X, "can neither predict new rows nor")
    assert "novelty=True" in error.remedy


def test_what_is_not_fitted(check: Any) -> None:
    with pytest.raises(TargetError, match="this Pipeline is not fitted") as caught:
        onnxpack.export(make_pipeline(StandardScaler(), LinearRegression()), X, check.folder / "p")
    assert caught.value.remedy == "model.fit(X, y)"


def test_without_a_sample(check: Any) -> None:
    with pytest.raises(SampleError, match="needs a sample of its rows"):
        onnxpack.export(LinearRegression().fit(X, Y), to=check.folder / "pack")


@pytest.mark.parametrize("model", [DBSCAN(), KernelDensity()])
def test_what_answers_nothing_about_new_rows(check: Any, model: Any) -> None:
    check.refused(model.fit(X), X, "can neither predict new rows nor transform them")


def test_rows_of_another_width(check: Any) -> None:
    error = check.refused(LinearRegression().fit(X, Y), X[:, :2], "the model refuses the sample")
    assert isinstance(error, SampleError)


def test_rows_that_are_equally_far(check: Any) -> None:
    grid = np.stack(np.meshgrid(range(6), range(6)), axis=-1).reshape(-1, 2).astype(float)
    y = np.random.default_rng(0).integers(0, 4, len(grid))
    model = KNeighborsClassifier(3).fit(grid, y)
    error = check.refused(model, grid + 0.5, "equally far from several training rows")
    assert "duplicate training rows" in error.remedy


def test_a_sample_in_half_precision(check: Any) -> None:
    model = IsolationForest(n_estimators=3, random_state=0).fit(X)
    error = check.refused(model, X.astype(np.float16), "float16")
    assert "astype('float32')" in error.remedy
