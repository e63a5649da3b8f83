"""Hard options, and hard rows: wide, far from zero, of many classes, with gaps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.covariance import EllipticEnvelope
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression
from sklearn.decomposition import PCA, KernelPCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import VarianceThreshold
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor, kernels
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.mixture import BayesianGaussianMixture
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn_answers import Rows
from sklearn_texts import messages

ROWS = 400
LIKELY: dict[str, Any] = {"random_state": 0}


def hard() -> Rows:
    """All of them."""
    yield from _on_hard_rows()
    yield from _of_hard_options()
    yield from _of_many_outputs()
    yield from _transformers()


def classes(
    count: int = 3, features: int = 8, rows: int = ROWS, *, far: float = 0, size: float = 1
) -> tuple[Any, Any]:
    """Rows of classes that are words."""
    x, y = make_classification(
        rows,
        features,
        n_informative=min(features, 8),
        n_redundant=0,
        n_classes=count,
        n_clusters_per_class=1,
        random_state=0,
    )
    return x * size + far, np.array([f"klasse {i} ü" for i in range(count)])[y]


def numbers(outputs: int = 1) -> tuple[Any, Any]:
    """Rows with numbers to predict."""
    x, y = make_regression(ROWS, 8, n_targets=outputs, noise=5, random_state=0)
    return x, y


def _few_values(holes: float = 0) -> tuple[Any, Any]:
    x, y = classes()
    x = np.clip(np.rint(x * 2), -4, 4)
    x[np.random.default_rng(0).random(x.shape) < holes] = np.nan
    return x, y


def _numbered() -> tuple[Any, Any]:
    x, y = _few_values(0.1)
    return x + 4, y


def _whole() -> tuple[Any, Any]:
    x, y = _few_values()
    return x.astype(int), y


def _constants() -> tuple[Any, Any]:
    x, y = classes()
    x[:, 2], x[:, 5] = 3.7, 0
    return x, y


def _on_hard_rows() -> Rows:
    far, tiny = partial(classes, far=1e6), partial(classes, size=1e-12)
    many, wide = partial(classes, 25, 20, 2000), partial(classes, features=200)
    forest = partial(RandomForestClassifier, 12, class_weight="balanced", **LIKELY)
    boosted = partial(HistGradientBoostingClassifier, max_iter=8)
    for name, rows in {"far from zero": far, "tiny": tiny, "many classes": many,
                       "200 features": wide}.items():  # fmt: skip
        yield f"{name}, forest", forest, rows
        yield f"{name}, histogram boosting", boosted, rows
        yield f"{name}, machine", SVC, rows
        yield f"{name}, network", lambda: MLPClassifier((9,), max_iter=20, **LIKELY), rows
    yield "constant features, discriminant", LinearDiscriminantAnalysis, _constants
    yield (
        "constant features left out",
        lambda: make_pipeline(VarianceThreshold(), LinearDiscriminantAnalysis()),
        _constants,
    )
    yield "gaps, tree", lambda: DecisionTreeClassifier(**LIKELY), partial(_few_values, 0.1)


def _of_hard_options() -> Rows:
    two = partial(classes, 2)
    yield "coupled probabilities", lambda: SVC(probability=True, **LIKELY), classes
    yield "probabilities of two", lambda: NuSVC(nu=0.2, probability=True, **LIKELY), two
    yield "boosting from a classifier", lambda: GradientBoostingClassifier(
        init=GaussianNB(), n_estimators=8, **LIKELY), classes  # fmt: skip
    yield "categories with gaps", lambda: HistGradientBoostingClassifier(
        max_iter=9, categorical_features=[0, 1]), _numbered  # fmt: skip
    yield "rising and falling", lambda: HistGradientBoostingRegressor(
        max_iter=9, monotonic_cst=[1, -1, 0, 0, 0, 0, 0, 0]), numbers  # fmt: skip
    yield "weighted distance", lambda: KNeighborsRegressor(
        metric="minkowski", metric_params={"w": np.arange(1.0, 9)}), numbers  # fmt: skip
    yield "Mahalanobis distance", lambda: KNeighborsClassifier(
        metric="mahalanobis", metric_params={"VI": np.eye(8) * 2}), classes  # fmt: skip
    yield "distances to the third power", lambda: KNeighborsRegressor(p=3), numbers
    yield "outliers, by Manhattan", lambda: LocalOutlierFactor(novelty=True, metric="l1"), classes
    yield "outliers, by covariance", lambda: EllipticEnvelope(**LIKELY), classes
    yield "outliers, of some features", lambda: IsolationForest(
        n_estimators=20, max_features=0.5, **LIKELY), classes  # fmt: skip
    yield "Bayesian mixture", lambda: BayesianGaussianMixture(n_components=4, **LIKELY), classes
    for name, kernel in {
        "ARD": kernels.RBF(np.arange(1.0, 9)),
        "Matérn": kernels.Matern(nu=2.5) + kernels.WhiteKernel(0.1),
        "quadratic": kernels.RationalQuadratic() * kernels.ConstantKernel(2),
        "Laplace": kernels.PairwiseKernel(metric="laplacian", gamma=0.3),
    }.items():
        yield f"process, {name}", partial(_process, kernel), numbers
    yield "process of pairs", lambda: GaussianProcessClassifier(
        multi_class="one_vs_one", optimizer=None), partial(classes, rows=150)  # fmt: skip
    yield "rare classes, bagged", lambda: BaggingClassifier(
        GaussianNB(), 5, max_samples=12, **LIKELY), partial(classes, 25, 20, 1000)  # fmt: skip
    yield "calibrated by temperature", lambda: CalibratedClassifierCV(
        LogisticRegression(), method="temperature", cv=3), classes  # fmt: skip
    yield "stack of votes, passing through", lambda: StackingClassifier(
        [("t", DecisionTreeClassifier(max_depth=3)), ("b", GaussianNB())],
        stack_method="predict", passthrough=True, cv=3), classes  # fmt: skip


def _process(kernel: Any) -> Any:
    return GaussianProcessRegressor(kernel, alpha=1e-2, optimizer=None, normalize_y=True)


def _of_many_outputs() -> Rows:
    def words() -> tuple[Any, Any]:
        x, y = classes()
        return x, np.stack([y, np.where(x[:, 0] > 0, "left", "right")], axis=1)

    labels: Callable[[], Any] = partial(
        make_multilabel_classification, ROWS, 8, n_classes=4, random_state=0
    )
    yield "labels, one against the rest", lambda: OneVsRestClassifier(LogisticRegression()), labels
    yield "labels, network", lambda: MLPClassifier((8,), max_iter=40, **LIKELY), labels
    yield "words, forest", lambda: RandomForestClassifier(8, **LIKELY), words
    yield "words, several", lambda: MultiOutputClassifier(LogisticRegression()), words
    yield "words, neighbours", KNeighborsClassifier, words
    chain = partial(ClassifierChain, LogisticRegression(), chain_method="decision_function")
    yield "chain of scores", chain, labels
    yield "pairs of classes", lambda: OneVsOneClassifier(LinearSVC()), partial(classes, 6)
    yield "codes of classes", lambda: OutputCodeClassifier(GaussianNB(), **LIKELY), classes


def _transformers() -> Rows:
    gaps = partial(_few_values, 0.1)
    target = QuantileTransformer(n_quantiles=50, output_distribution="normal")
    yield "quantiles of a target", lambda: TransformedTargetRegressor(
        Ridge(), transformer=target), numbers  # fmt: skip
    yield "weights of transformers", lambda: ColumnTransformer(
        [("p", PCA(2), [0, 1, 2]), ("s", MinMaxScaler(), [3])], remainder="passthrough",
        transformer_weights={"p": 2.0}), classes  # fmt: skip
    yield "NaN as a category", lambda: OneHotEncoder(handle_unknown="ignore"), gaps
    yield "median of whole numbers", lambda: SimpleImputer(
        missing_values=0, strategy="median"), _whole  # fmt: skip
    yield "neighbours fill gaps", lambda: make_pipeline(
        StandardScaler(), KNNImputer(weights="distance", add_indicator=True)), _holes  # fmt: skip
    yield "periodic splines", lambda: SplineTransformer(extrapolation="periodic"), classes
    yield "bins by k-means", lambda: KBinsDiscretizer(
        4, encode="ordinal", strategy="kmeans", random_state=0), classes  # fmt: skip
    yield "powers far from zero", PowerTransformer, partial(classes, far=1e6)
    yield "kernel components", lambda: KernelPCA(3, kernel="rbf"), classes
    for analyzer in ("char", "char_wb"):
        yield f"texts, {analyzer}", partial(
            TfidfVectorizer, analyzer=analyzer, ngram_range=(2, 4)), messages  # fmt: skip
    yield "texts, pairs around left-out words", lambda: CountVectorizer(
        stop_words="english", ngram_range=(1, 2)), messages  # fmt: skip


def _holes() -> tuple[Any, Any]:
    x, y = classes()
    x[np.random.default_rng(1).random(x.shape) < 0.1] = np.nan
    return x, y
