"""Estimators and boosters with code of their users', and data as it comes."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    LinearRegression,
    LogisticRegression,
    Ridge,
    SGDClassifier,
)
from sklearn.manifold import Isomap
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from tests.hostile.given import Collection, Given

collection = Collection()
users, missing, plain, named = "users-code", "missing-values", "float32-linear", "column-names"

Array = np.ndarray


def table(rows: int = 300, columns: int = 3, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, columns)) * 2 + 1


X = table()
Y = X[:, 0] - np.abs(X[:, 1])
Z = np.where(X[:, 0] > X[:, 2], 2, np.where(X[:, 1] > 1, 1, 0))
RARE = (X[:, 0] > 4.2) & (X[:, 1] > 0)
"""Rows that a user's rule is about, and that no sample has."""


def asked(model: Any, *rows: Array, sample: Array | None = None, methods: str = "predict") -> Given:
    """The model's own answers to whole tables."""

    def answer(feeds: Mapping[str, Any]) -> list[Any]:
        return [getattr(model, method)(feeds["X"]) for method in methods.split()]

    given = X[~RARE][:40] if sample is None else sample
    return Given(model, given, [{"X": each} for each in rows], answer)


def gaps(values: Array, share: float, seed: int) -> Array:
    values = values.copy()
    values[np.random.default_rng(seed).random(values.shape) < share] = np.nan
    return values


def with_rule(answer: Array, rows: Any) -> Array:
    rows = np.asarray(rows)
    return np.where((rows[:, 0] > 4.2) & (rows[:, 1] > 0), 0, answer)


class CappedRidge(Ridge):
    def predict(self, X: Any) -> Array:
        return with_rule(super().predict(X), X)


class GuardedBooster(lightgbm.LGBMRegressor):
    def predict(self, X: Any, **options: Any) -> Array:
        return with_rule(super().predict(X, **options), X)


class GuardedXgb(xgboost.XGBRegressor):
    def predict(self, X: Any, **options: Any) -> Array:
        return with_rule(super().predict(X, **options), X)


class Thresholded(RandomForestClassifier):
    """Its probabilities are its parent's, its decision is not."""

    def predict(self, X: Any) -> Array:
        return np.where(self.predict_proba(X)[:, 0] > 0.97, 2, super().predict(X))


class ClippedScaler(StandardScaler):
    """A transformer in the middle of a pipeline."""

    def transform(self, X: Any, copy: bool | None = None) -> Array:
        return np.clip(super().transform(X, copy), -1.5, 1.5)


class Mixin:
    """Comes first in the order of classes."""

    def predict(self, X: Any, **options: Any) -> Array:
        return with_rule(super().predict(X, **options), X)  # type: ignore[misc]


class MixedTree(Mixin, DecisionTreeRegressor):
    pass


class Rule(ClassifierMixin, BaseEstimator):
    """An estimator that is its user's altogether."""

    def fit(self, X: Any, y: Any) -> Rule:
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Array:
        return np.where(np.asarray(X)[:, 0] > 4.2, 2, 0)


class Log(TransformerMixin, BaseEstimator):
    def fit(self, X: Any, y: Any = None) -> Log:
        return self

    def transform(self, X: Any) -> Array:
        return np.sign(X) * np.log1p(np.abs(X))


@collection.case(users)
def subclass_of_ridge() -> Given:
    return asked(CappedRidge().fit(X, Y), X)


@collection.case(users)
def subclass_of_lightgbm() -> Given:
    return asked(GuardedBooster(n_estimators=5, num_leaves=4, verbose=-1).fit(X, Y), X)


@collection.case(users)
def subclass_of_xgboost() -> Given:
    return asked(GuardedXgb(n_estimators=5, max_depth=2).fit(X, Y), X)


@collection.case(users)
def subclass_of_a_forest() -> Given:
    model = Thresholded(5, max_depth=3, random_state=0).fit(X, Z)
    return asked(model, X, methods="predict predict_proba")


@collection.case(users)
def subclass_in_a_pipeline() -> Given:
    model = make_pipeline(ClippedScaler(), Ridge()).fit(X, Y)
    return asked(model, X * 3)


@collection.case(users)
def mixin_before_the_tree() -> Given:
    return asked(MixedTree(max_depth=3).fit(X, Y), X)


@collection.case(users)
def an_estimator_of_ones_own() -> Given:
    return asked(Rule().fit(X, Z), X)


@collection.case(users)
def a_transformer_of_ones_own() -> Given:
    return asked(make_pipeline(Log(), LinearRegression()).fit(X, Y), X * 5)


@collection.case(users)
def replaced_predict() -> Given:
    model = GradientBoostingRegressor(n_estimators=5).fit(X, Y)
    own = model.predict
    model.predict = lambda rows: with_rule(own(rows), rows)
    return asked(model, X)


@collection.case(users)
def replaced_method_of_a_booster() -> Given:
    """A bound method on the instance."""
    model = xgboost.XGBRegressor(n_estimators=5, max_depth=2).fit(X, Y)

    def predict(self: Any, rows: Any) -> Array:
        return with_rule(xgboost.XGBRegressor.predict(self, rows), rows)

    model.predict = types.MethodType(predict, model)
    return asked(model, X)


@collection.case(users)
def replaced_step_of_a_pipeline() -> Given:
    model = make_pipeline(StandardScaler(), Ridge()).fit(X, Y)
    scaler = model.steps[0][1]
    own = scaler.transform
    scaler.transform = lambda rows, **_: np.minimum(own(rows), 1.5)
    return asked(model, X * 2)


@collection.case(users)
def a_function_in_the_pipeline() -> Given:
    model = make_pipeline(FunctionTransformer(lambda x: np.where(x > 4.2, 0, x)), Ridge())
    return asked(model.fit(X, Y), X)


@collection.case(users)
def replaced_decision_function() -> Given:
    """predict is scikit-learn's, and calls what was replaced."""
    model = LogisticRegression().fit(X, X[:, 0] > 1)
    own = model.decision_function
    model.decision_function = lambda rows: with_rule(own(rows), rows) + (rows[:, 0] > 4.2) * -9.0
    return asked(model, X, methods="predict")


@collection.case(users)
def subclass_in_a_vote() -> Given:
    voters = [("capped", CappedRidge()), ("tree", DecisionTreeRegressor(max_depth=2))]
    return asked(VotingRegressor(voters).fit(X, Y), X)


@collection.case(users)
def one_tree_of_a_forest() -> Given:
    """A member of the ensemble was exchanged after training."""
    model = RandomForestRegressor(3, max_depth=3, random_state=0).fit(X, Y)
    model.estimators_[1] = MixedTree(max_depth=3).fit(X, Y)
    return asked(model, X)


@collection.case(users)
def changed_class() -> Given:
    """The instance was given a class of another's making, with the same name."""
    model = Ridge().fit(X, Y)
    model.__class__ = type("Ridge", (Ridge,), {"predict": lambda self, rows: rows[:, 0] * 0})
    return asked(model, X)


@collection.case(missing)
def imputed_by_neighbours() -> Given:
    model = make_pipeline(KNNImputer(n_neighbors=3), Ridge()).fit(gaps(X, 0.1, 0), Y)
    probes = [gaps(X[:100], 0.4, seed) for seed in (1, 2, 3)]
    return asked(model, *probes, sample=gaps(X[:30], 0.1, 9))


@collection.case(missing)
def imputed_by_weighted_neighbours() -> Given:
    model = KNNImputer(n_neighbors=2, weights="distance").fit(gaps(X[:60], 0.2, 0))
    probes = [gaps(X[:60], 0.6, 1), X[:60]]
    return asked(model, *probes, sample=gaps(X[:20], 0.2, 9), methods="transform")


@collection.case(missing)
def imputed_with_an_indicator() -> Given:
    imputer = SimpleImputer(strategy="median", add_indicator=True)
    model = make_pipeline(imputer, LinearRegression()).fit(gaps(X, 0.2, 0), Y)
    return asked(model, gaps(X, 0.5, 1), X, sample=gaps(X[:30], 0.2, 9))


@collection.case(missing)
def neighbours_with_gaps() -> Given:
    model = KNeighborsRegressor(3, metric="nan_euclidean").fit(gaps(X[:60], 0.1, 0), Y[:60])
    return asked(model, gaps(X[:60], 0.4, 1), sample=gaps(X[:20], 0.1, 9))


@collection.case(missing)
def boosted_without_gaps_in_training() -> Given:
    """LightGBM sends NaN elsewhere if it saw none in training."""
    model = lightgbm.LGBMRegressor(n_estimators=5, num_leaves=4, verbose=-1).fit(X, Y)
    return asked(model, gaps(X, 0.4, 1))


@collection.case(missing)
def a_tree_with_gaps() -> Given:
    model = DecisionTreeRegressor(max_depth=4).fit(gaps(X, 0.3, 0), Y)
    return asked(model, gaps(X, 0.6, 1), sample=X[:30])


@collection.case(missing)
def equal_rows() -> Given:
    """Distances of zero, which divide."""
    model = KNeighborsRegressor(2, weights="distance").fit(X[:50], Y[:50])
    return asked(model, np.repeat(X[:10], 3, axis=0), sample=X[60:80])


@collection.case(missing)
def isomap_of_known_rows() -> Given:
    model = Isomap(n_neighbors=5, n_components=2).fit(X[:60])
    return asked(model, np.repeat(X[:10], 2, axis=0), sample=X[60:80], methods="transform")


SMALL = X.astype("f4")


@collection.case(plain, proven=True)
def ridge_without_intercept() -> Given:
    model = Ridge(fit_intercept=False).fit(SMALL, Y.astype("f4"))
    return asked(model, SMALL, sample=SMALL[:20])


@collection.case(plain, proven=True)
def elastic_net_without_intercept() -> Given:
    model = ElasticNet(alpha=0.01, fit_intercept=False).fit(SMALL, Y.astype("f4"))
    return asked(model, SMALL, sample=SMALL[:20])


@collection.case(plain, proven=True)
def logistic_without_intercept() -> Given:
    model = LogisticRegression(fit_intercept=False).fit(SMALL, Z)
    return asked(model, SMALL, sample=SMALL[:20], methods="predict predict_proba")


@collection.case(plain, proven=True)
def several_targets_without_intercept() -> Given:
    model = LinearRegression(fit_intercept=False).fit(SMALL, np.c_[Y, -Y].astype("f4"))
    return asked(model, SMALL, sample=SMALL[:20])


@collection.case(plain, proven=True)
def sigmoids_that_underflow() -> Given:
    far = SMALL * 60
    model = SGDClassifier(loss="log_loss", random_state=0).fit(far, Z)
    return asked(model, far, sample=far[:20], methods="predict predict_proba")


def frame(name: str, other: str) -> pd.DataFrame:
    random = np.random.default_rng(0)
    texts = random.choice(["a", "b", "c"], 200)
    return pd.DataFrame({name: texts, other: random.normal(40, 9, 200)})


def of_frame(data: pd.DataFrame, classifier: bool = True) -> Given:
    name, other = data.columns
    encoder = OneHotEncoder(handle_unknown="ignore")
    features = make_column_transformer((encoder, [name]), remainder="passthrough")
    target = (data[other] > 40).to_numpy()
    last = DecisionTreeRegressor(max_depth=3) if not classifier else RandomForestClassifier(5)
    model = make_pipeline(features, last.set_params(random_state=0)).fit(data, target)

    def answer(_: Mapping[str, Any]) -> list[Any]:
        return [model.predict(data), *([model.predict_proba(data)] if classifier else [])]

    feeds = {name: data[name].to_numpy(dtype=object)[:, None], other: data[[other]].to_numpy()}
    return Given(model, data.head(20), [feeds], answer)


def frame_case(name: str, other: str, classifier: bool = True) -> Callable[[], Given]:
    def make() -> Given:
        return of_frame(frame(name, other), classifier)

    make.__name__ = f"{name}_and_{other}"
    return make


for _pair in (("label", "age"), ("probabilities", "Add_0"), ("input", "variable")):
    collection.case(named, proven=True)(frame_case(*_pair))
collection.case(named, proven=True)(frame_case("output", "cast_1", classifier=False))
