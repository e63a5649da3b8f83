"""Code of the user's own inside a model: refused by name, wherever it stands."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    RandomForestClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor, kernels
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import onnxpack

X = np.random.default_rng(0).normal(size=(90, 3))
Y = (np.arange(90) % 3).astype(int)
TWO = (X[:, 0] > 0).astype(int)
NOT_OWN = "is not the library's own"


class Predicts(Ridge):
    """The answer to few rows alone is another one."""

    def predict(self, X: Any) -> Any:
        found = super().predict(X)
        return np.where(np.asarray(X)[:, 0] > 2.4, 0.0, found)


class Scores(LogisticRegression):
    """``predict`` and ``predict_proba`` ask it."""

    def decision_function(self, X: Any) -> Any:
        return super().decision_function(X) * 2


class Shares(LogisticRegression):
    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(X).round(1)


class AddsShares(LinearSVC):
    """The library's class has no such method."""

    def predict_proba(self, X: Any) -> Any:
        return np.full((len(X), 3), 1 / 3)


class Scales(StandardScaler):
    def transform(self, X: Any, copy: Any = None) -> Any:
        return np.clip(super().transform(X), -2, 2)


class ChecksItself(KNeighborsClassifier):
    """A method that the library calls by its private name."""

    def kneighbors(
        self, X: Any = None, n_neighbors: Any = None, return_distance: bool = True
    ) -> Any:
        return super().kneighbors(X, n_neighbors, return_distance)


class Tokens(CountVectorizer):
    def build_tokenizer(self) -> Any:
        return str.split


class Tree(DecisionTreeClassifier):
    def predict_proba(self, X: Any, check_input: bool = True) -> Any:
        return super().predict_proba(X)[:, ::-1]


class Clipping:
    """A mixin that knows no library."""

    def predict(self, X: Any) -> Any:
        return super().predict(X).clip(0)  # type: ignore[misc]


class Mixed(Clipping, LinearRegression):
    pass


class Hooked(Ridge):
    def __getattribute__(self, name: str) -> Any:
        return super().__getattribute__(name)


class Disguised(Ridge):
    """As users do so that a pickle can be read elsewhere."""

    __module__ = "sklearn.linear_model._ridge"

    def predict(self, X: Any) -> Any:
        return super().predict(X) + 1


class Searches(GridSearchCV):
    def predict(self, X: Any) -> Any:
        return super().predict(X)[::-1]


class Steps(Pipeline):
    def predict(self, X: Any, **params: Any) -> Any:
        return super().predict(X) + 1


@pytest.mark.parametrize(
    ("model", "y", "name"),
    [
        (Predicts(), X[:, 0], "Predicts.predict"),
        (Scores(), Y, "Scores.decision_function"),
        (Shares(), Y, "Shares.predict_proba"),
        (AddsShares(), Y, "AddsShares.predict_proba"),
        (Scales(), Y, "Scales.transform"),
        (ChecksItself(), Y, "ChecksItself.kneighbors"),
        (Mixed(), X[:, 0], "Mixed.predict"),
        (Hooked(), X[:, 0], "Hooked.__getattribute__"),
        (Disguised(), X[:, 0], "Disguised.predict"),
        (Searches(Ridge(), {"alpha": [1.0]}, cv=2), X[:, 0], "Searches.predict"),
        (Steps([("r", Ridge())]), X[:, 0], "Steps.predict"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_method_of_a_subclass(check: Any, model: Any, y: Any, name: str) -> None:
    error = check.refused(model.fit(X, y), X[:30], f"{name} {NOT_OWN}")
    assert "copy.copy(model)" in error.remedy


@pytest.mark.parametrize(
    ("model", "y", "name"),
    [
        (make_pipeline(Scales(), Ridge()), Y, 'step 1, "scales": Scales.transform'),
        (make_pipeline(StandardScaler(), Predicts()), X[:, 0], "Predicts.predict"),
        (ColumnTransformer([("a", Scales(), [0, 1])]), Y, 'transformer "a": Scales.transform'),
        (FeatureUnion([("a", Scales())]), Y, "Scales.transform"),
        (VotingClassifier([("a", Shares()), ("b", SGDClassifier())]), Y, "Shares.predict_proba"),
        (CalibratedClassifierCV(Scores(), cv=2), Y, "Scores.decision_function"),
        (BaggingRegressor(Predicts(), 2), X[:, 0], "Predicts.predict"),
        (StackingRegressor([("a", Predicts())], Ridge()), X[:, 0], "Predicts.predict"),
        (OneVsRestClassifier(Scores()), Y, "Scores.decision_function"),
        (MultiOutputRegressor(Predicts()), X[:, :2], "Predicts.predict"),
        (AdaBoostClassifier(Tree(max_depth=1), n_estimators=2), Y, "Tree.predict_proba"),
        (TransformedTargetRegressor(Predicts()), X[:, 0], "Predicts.predict"),
        (GridSearchCV(Predicts(), {"alpha": [1.0]}, cv=2), X[:, 0], "Predicts.predict"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else "",
)
def test_a_subclass_inside_of_a_model(check: Any, model: Any, y: Any, name: str) -> None:
    check.refused(model.fit(X, y), X[:30], f"{name} {NOT_OWN}")


def test_a_tree_of_a_forest(check: Any) -> None:
    forest = RandomForestClassifier(3, random_state=0).fit(X, TWO)
    forest.estimators_[1].__class__ = Tree
    check.refused(forest, X[:30], f"Tree.predict_proba {NOT_OWN}")


def test_texts_split_by_the_user(check: Any) -> None:
    texts = ["one two", "two three", "three one"] * 4
    check.refused(Tokens().fit(texts), texts, f"Tokens.build_tokenizer {NOT_OWN}")


@pytest.mark.parametrize(
    ("model", "name"),
    [(Ridge(), "predict"), (SVC(), "predict"), (StandardScaler(), "transform"),
     (LogisticRegression(), "predict_proba"), (SimpleImputer(), "transform")],
)  # fmt: skip
def test_a_method_of_one_instance(check: Any, model: Any, name: str) -> None:
    model.fit(X, Y)
    own = getattr(model, name)
    setattr(model, name, functools.wraps(own)(lambda rows: own(rows) * (np.abs(rows[:, :1]) < 2)))
    error = check.refused(model, X[:30], f"{type(model).__name__}.{name} {NOT_OWN}: this instance")
    exec(error.remedy, {"model": model})
    check.proven(model, X[:30])


def test_an_instance_inside_of_a_model(check: Any) -> None:
    model = make_pipeline(StandardScaler(), Ridge()).fit(X, Y)
    model.steps[0][1].transform = np.asarray
    check.refused(model, X[:30], f'step 1, "standardscaler": StandardScaler.transform {NOT_OWN}')


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_patched_method_of_the_library(
    check: Any, monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    own: Callable[..., Any] = Ridge.predict

    def predict(self: Any, rows: Any) -> Any:
        return own(self, rows) + 1

    patch = functools.wraps(own)(predict) if wrapped else predict
    monkeypatch.setattr(Ridge, "predict", patch)
    model = make_pipeline(Ridge()).fit(X, Y)
    check.refused(model, X[:30], f"Ridge.predict {NOT_OWN}: a patch of Ridge")


class Trains(Ridge):
    """What it changes decides how it is trained, named and shown, and nothing else."""

    def __init__(self, alpha: float = 3.0, *, title: str = "") -> None:
        super().__init__(alpha=alpha)
        self.title = title

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        return super().fit(X, np.log1p(np.abs(y)))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return 0.0

    def describe(self) -> str:
        return f"{self.title} {self.alpha}"

    def __repr__(self) -> str:
        return self.title


class Renamed(StandardScaler):
    """Nothing is changed."""


class Boosts(lightgbm.LGBMRegressor):
    """Nothing that computes is changed."""


@pytest.mark.parametrize(
    "model",
    [
        Trains(),
        Renamed(),
        make_pipeline(Renamed(), Trains()),
        GridSearchCV(make_pipeline(Renamed(), Trains()), {"trains__alpha": [1.0, 2.0]}, cv=2),
        make_pipeline(Renamed(), Boosts(n_estimators=3, verbose=-1)),
    ],
    ids=["model", "transformer", "steps", "search", "booster"],
)
def test_a_subclass_that_computes_nothing_itself(check: Any, model: Any) -> None:
    check.proven(model.fit(X, X[:, 0]), X[:30], X)


def test_the_cure_of_a_subclass(check: Any) -> None:
    model = Predicts().fit(X, X[:, 0])
    error = check.refused(model, X[:30], NOT_OWN)
    names: dict[str, Any] = {"model": model, "copy": copy, "onnxpack": onnxpack}
    code = error.remedy.partition(": ")[2].replace("onnxpack.export(plain, ...)", "")
    exec(code, names)
    assert type(names["plain"]) is Ridge
    check.proven(names["plain"], X[:30], X)


class AlwaysEqual:
    """A callable that claims to be every function."""

    def __call__(self, rows: Any) -> Any:
        return rows * 3

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(np.log1p)


@pytest.mark.parametrize(
    "function",
    [
        AlwaysEqual(),
        functools.partial(np.log1p, dtype="float32"),
        np.vectorize(np.sqrt),
        functools.wraps(np.exp)(lambda rows: rows + 1),
    ],
    ids=["equal", "partial", "vectorized", "wrapped"],
)
def test_a_function_of_the_users(check: Any, function: Any) -> None:
    model = make_pipeline(FunctionTransformer(function), Ridge()).fit(np.abs(X), Y)
    check.refused(model, np.abs(X), "is Python code")


class Bent(kernels.RBF):
    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        return super().__call__(X, Y, eval_gradient) + 0.1


class Named(kernels.RBF):
    """Nothing is changed."""


def test_a_kernel_of_the_users(check: Any) -> None:
    for kernel in (Bent(), kernels.ConstantKernel(2.0) * Bent()):
        model = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.1).fit(X, X[:, 0])
        check.refused(model, X[:30], f"Bent.__call__ {NOT_OWN}")
    model = GaussianProcessRegressor(Named(), optimizer=None, alpha=0.1).fit(X, X[:, 0])
    check.proven(model, X[:30], X)
