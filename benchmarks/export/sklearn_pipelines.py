"""Pipelines of scikit-learn's as people write them: mixed frames, texts, gaps, stacks, searches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from case import Case, Given
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import (
    TransformedTargetRegressor,
)
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import (
    ElasticNetCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeCV,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn_answers import Rows, checks
from sklearn_frames import on_frames, on_gaps
from sklearn_hard import hard
from sklearn_texts import on_texts

SAMPLE = 40
LIKELY = {"random_state": 0}


def pipelines() -> Iterator[Case]:
    """Each on real or realistic rows, fitted on the first two thirds."""
    for group in (_on_arrays(), on_frames(), on_gaps(), on_texts(), _of_several(), hard()):
        for name, make, data in group:
            yield Case(f"pipelines/{name}", partial(_given, make, data))


def _on_arrays() -> Rows:
    iris, wine = partial(load_iris, return_X_y=True), partial(load_wine, return_X_y=True)
    cancer = partial(load_breast_cancer, return_X_y=True)
    digits, diabetes = (
        partial(load_digits, return_X_y=True),
        partial(load_diabetes, return_X_y=True),
    )
    forest = partial(RandomForestClassifier, 30, random_state=0)
    yield (
        "scaled logistic regression",
        lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        wine,
    )
    yield "PCA and SVC of digits", lambda: make_pipeline(PCA(20, **LIKELY), SVC()), digits
    yield "forest of iris", forest, iris
    yield (
        "neighbours of wine",
        lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(weights="distance")),
        wine,
    )
    yield "neighbours of iris, where rows are equally far", KNeighborsClassifier, iris
    yield "calibrated SVC", lambda: CalibratedClassifierCV(LinearSVC(**LIKELY)), cancer
    yield (
        "calibrated forest, isotonic",
        lambda: CalibratedClassifierCV(forest(), method="isotonic"),
        wine,
    )
    yield (
        "grid search over a pipeline",
        lambda: GridSearchCV(make_pipeline(RobustScaler(), SVC()), {"svc__C": [0.1, 1, 10]}, cv=3),
        wine,
    )
    yield (
        "random search over a forest",
        lambda: RandomizedSearchCV(
            forest(), {"max_depth": [2, 4, None]}, n_iter=2, cv=3, random_state=0
        ),
        cancer,
    )
    yield (
        "stack of three",
        lambda: StackingClassifier(
            [("f", forest()), ("s", make_pipeline(StandardScaler(), SVC())), ("b", GaussianNB())]
        ),
        wine,
    )
    yield (
        "stack of regressors, passing through",
        lambda: StackingRegressor(
            [("r", RidgeCV()), ("f", RandomForestRegressor(20, random_state=0))], passthrough=True
        ),
        diabetes,
    )
    yield (
        "soft vote",
        lambda: VotingClassifier(
            [("l", LogisticRegression(max_iter=5000)), ("t", DecisionTreeClassifier(max_depth=3))],
            voting="soft",
        ),
        iris,
    )
    yield (
        "hard vote",
        lambda: VotingClassifier(
            [("b", GaussianNB()), ("t", ExtraTreesClassifier(20, **LIKELY)), ("s", SVC())]
        ),
        iris,
    )
    yield (
        "boosted after selection",
        lambda: make_pipeline(SelectKBest(k=8), GradientBoostingClassifier(**LIKELY)),
        cancer,
    )
    yield "histogram boosting", lambda: HistGradientBoostingClassifier(max_iter=40), cancer
    yield (
        "network of digits",
        lambda: make_pipeline(MinMaxScaler(), MLPClassifier((32,), max_iter=60, **LIKELY)),
        digits,
    )
    yield (
        "polynomial ridge",
        lambda: make_pipeline(PolynomialFeatures(2), StandardScaler(), Ridge()),
        diabetes,
    )
    yield (
        "splines and elastic net",
        lambda: make_pipeline(SplineTransformer(), ElasticNetCV(cv=3)),
        diabetes,
    )
    yield (
        "bins and Poisson",
        lambda: make_pipeline(
            KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"), PoissonRegressor()
        ),
        diabetes,
    )
    yield (
        "logarithm of the target",
        lambda: TransformedTargetRegressor(
            make_pipeline(StandardScaler(), LinearRegression()),
            func=np.log1p,
            inverse_func=np.expm1,
        ),
        diabetes,
    )
    yield (
        "scaled target",
        lambda: TransformedTargetRegressor(SVR(), transformer=PowerTransformer()),
        diabetes,
    )
    yield (
        "quantiles and neighbours",
        lambda: make_pipeline(
            QuantileTransformer(n_quantiles=50, output_distribution="normal", **LIKELY),
            KNeighborsRegressor(),
        ),
        diabetes,
    )
    yield (
        "kernel features and gradient",
        lambda: make_pipeline(
            StandardScaler(),
            Nystroem(n_components=40, **LIKELY),
            SGDClassifier(loss="log_loss", **LIKELY),
        ),
        cancer,
    )
    yield (
        "two views united",
        lambda: make_pipeline(
            FeatureUnion([("p", PCA(3)), ("k", SelectKBest(k=4)), ("s", StandardScaler())]),
            LogisticRegression(max_iter=5000),
        ),
        cancer,
    )
    yield (
        "elimination",
        lambda: RFE(LogisticRegression(max_iter=5000), n_features_to_select=5),
        wine,
    )
    yield (
        "selection by a forest",
        lambda: make_pipeline(
            SelectFromModel(forest()),
            LogisticRegressionCV(cv=3, max_iter=5000, use_legacy_attributes=False),
        ),
        wine,
    )
    yield (
        "bagged neighbours",
        lambda: BaggingRegressor(KNeighborsRegressor(), 5, max_features=0.7, **LIKELY),
        diabetes,
    )
    yield "boosted stumps", lambda: AdaBoostClassifier(n_estimators=30, **LIKELY), cancer
    yield (
        "isolated outliers",
        lambda: make_pipeline(
            StandardScaler(), IsolationForest(n_estimators=60, contamination=0.05, **LIKELY)
        ),
        cancer,
    )
    yield (
        "logarithms",
        lambda: make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), Ridge()),
        lambda: (np.abs(diabetes()[0]) * 100, diabetes()[1]),
    )


def _of_several() -> Rows:
    def outputs() -> tuple[Any, Any]:
        x, y = load_wine(return_X_y=True)
        return x, np.stack([y, x[:, 0] > 13], axis=1).astype(int)

    def numbers() -> tuple[Any, Any]:
        x, y = load_diabetes(return_X_y=True)
        return x, np.stack([y, x[:, 2] * 100 + y / 9], axis=1)

    yield (
        "several labels",
        lambda: make_pipeline(StandardScaler(), MultiOutputClassifier(LogisticRegression())),
        outputs,
    )
    yield "several labels by a forest", lambda: RandomForestClassifier(15, random_state=0), outputs
    yield (
        "several numbers",
        lambda: MultiOutputRegressor(GradientBoostingRegressor(n_estimators=15, random_state=0)),
        numbers,
    )
    yield (
        "a chain of labels",
        lambda: make_pipeline(
            StandardScaler(), ClassifierChain(LogisticRegression(), order=[1, 0])
        ),
        lambda: (outputs()[0], (outputs()[1] > 0).astype(int)),
    )


def _given(make: Callable[[], Any], data: Callable[[], tuple[Any, Any]]) -> Given:
    x, y = data()
    order = np.random.default_rng(1).permutation(len(x))
    cut = len(x) * 2 // 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make().fit(_at(x, order[:cut]), np.asarray(y)[order[:cut]])
    held_out = _at(x, order[cut:])
    return Given(model, _at(x, order[:SAMPLE]), list(checks(model, held_out)))


def _at(rows: Any, index: Any) -> Any:
    if hasattr(rows, "iloc"):
        return rows.iloc[index]
    return [rows[i] for i in index] if isinstance(rows, list) else rows[index]
