"""Every estimator of scikit-learn that predicts or transforms; its pipelines are beside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from case import Case, Given
from numpy.typing import NDArray
from sklearn_answers import checks
from sklearn_pipelines import pipelines

Array = NDArray[Any]
SAMPLE, ROWS, FEATURES = 50, 420, 8


def cases() -> Iterator[Case]:
    """Each estimator on float64 and on float32 rows, then pipelines as people write them."""
    from sklearn.utils import all_estimators

    for name, kind in all_estimators():
        if hasattr(kind, "predict") or hasattr(kind, "transform"):
            yield Case(f"{_group(kind)}/{name}", partial(_given, name, np.float64))
    for name in ON_FLOAT32:
        kind = dict(all_estimators())[name]
        yield Case(f"{_group(kind)}/{name}, float32", partial(_given, name, np.float32))
    yield from pipelines()


def _group(kind: type) -> str:
    from sklearn import base

    mixins = {
        "classifiers": base.ClassifierMixin,
        "regressors": base.RegressorMixin,
        "clusterers": base.ClusterMixin,
        "transformers": base.TransformerMixin,
    }
    return next((name for name, mixin in mixins.items() if issubclass(kind, mixin)), "others")


@dataclass(frozen=True)
class Data:
    """Rows and targets."""

    x: Any
    y: Any


def _classes(dtype: Any, *, count: int = 3) -> Data:
    from sklearn.datasets import make_classification

    x, y = make_classification(
        ROWS, FEATURES, n_informative=5, n_redundant=0, n_classes=count, random_state=0
    )
    return Data(x.astype(dtype), np.array(["no", "maybe", "yes"])[y] if count == 3 else y)


def _numbers(dtype: Any, *, outputs: int = 1) -> Data:
    from sklearn.datasets import make_regression

    x, y = make_regression(ROWS, FEATURES, n_targets=outputs, noise=5, random_state=0)
    return Data(x.astype(dtype), y)


def _positive(dtype: Any) -> Data:
    data = _numbers(dtype)
    return Data(np.abs(data.x), np.abs(data.y) / 50 + 0.1)


def _whole(dtype: Any) -> Data:
    data = _classes(dtype)
    return Data(np.clip(data.x * 2, -4, 4).astype(np.int64) + 4, data.y)


def _several(dtype: Any) -> Data:
    data = _classes(dtype, count=2)
    return Data(data.x, np.stack([data.y, data.x[:, 0] > 0, data.x[:, 1] > 1], 1).astype(int))


def _gaps(dtype: Any) -> Data:
    data = _numbers(dtype)
    x = data.x.copy()
    x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    return Data(x, data.y)


def _texts(_dtype: Any) -> Data:
    text = "the quick brown fox jumps over a lazy dog it's 3.14 O'Neil naïve résumé x"
    words = text.split()
    random = np.random.default_rng(0)
    rows = [" ".join(random.choice(words, random.integers(0, 12))) for _ in range(ROWS)]
    return Data([text.capitalize() for text in rows], random.integers(0, 2, ROWS))


def _labels(dtype: Any) -> Data:
    data = _classes(dtype)
    return Data(data.y, None)


def _single(dtype: Any) -> Data:
    data = _numbers(dtype)
    return Data(data.x[:, 0], data.y)


def _kernel(dtype: Any) -> Data:
    data = _numbers(dtype)
    return Data((data.x @ data.x.T).astype(dtype), data.y)


def _inner() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def _arguments(name: str) -> Mapping[str, Any]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression, Ridge
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    forest = RandomForestClassifier(10, random_state=0)
    table: dict[str, Mapping[str, Any]] = {
        **{each: {"estimator": _inner()} for each in INNER_CLASSIFIER},
        **{each: {"estimator": Ridge()} for each in INNER_REGRESSOR},
        **{
            each: {"estimators": [("a", _inner()), ("b", forest)]}
            for each in ("StackingClassifier", "VotingClassifier")
        },
        **{
            each: {"estimators": [("a", Ridge()), ("b", LinearRegression())]}
            for each in ("StackingRegressor", "VotingRegressor")
        },
        **{
            each: {"n_components": 3}
            for each in ("GaussianRandomProjection", "SparseRandomProjection")
        },
        "CategoricalNB": {"min_categories": 12},
        "ColumnTransformer": {
            "transformers": [("a", StandardScaler(), [0, 1]), ("b", MinMaxScaler(), [3])]
        },
        "FeatureAgglomeration": {"n_clusters": 3},
        "FeatureUnion": {"transformer_list": [("a", StandardScaler()), ("b", MinMaxScaler())]},
        "GenericUnivariateSelect": {"mode": "k_best", "param": 3},
        "GridSearchCV": {"estimator": Ridge(), "param_grid": {"alpha": [1, 2]}},
        "LocalOutlierFactor": {"novelty": True},
        "NuSVC": {"nu": 0.1},
        "Pipeline": {"steps": [("a", StandardScaler()), ("b", Ridge())]},
        "QuadraticDiscriminantAnalysis": {"reg_param": 0.1},
        "RadiusNeighborsClassifier": {"radius": 20.0},
        "RadiusNeighborsRegressor": {"radius": 20.0},
        "RadiusNeighborsTransformer": {"radius": 2.0},
        "RandomizedSearchCV": {
            "estimator": Ridge(),
            "param_distributions": {"alpha": [1, 2]},
            "n_iter": 2,
        },
        "SparseCoder": {"dictionary": np.eye(FEATURES)[:4]},
    }
    return table.get(name, {})


INNER_CLASSIFIER = (
    "ClassifierChain", "FixedThresholdClassifier", "MultiOutputClassifier", "OneVsOneClassifier",
    "OneVsRestClassifier", "OutputCodeClassifier", "SelfTrainingClassifier",
    "TunedThresholdClassifierCV",
)  # fmt: skip
INNER_REGRESSOR = (
    "MultiOutputRegressor", "RFE", "RFECV", "RegressorChain", "SelectFromModel",
    "SequentialFeatureSelector",
)  # fmt: skip
ON_FLOAT32 = (
    "AdaBoostClassifier", "DecisionTreeClassifier", "ExtraTreesRegressor", "GaussianMixture",
    "GaussianNB", "GradientBoostingClassifier", "HistGradientBoostingClassifier",
    "HistGradientBoostingRegressor", "IsolationForest", "KBinsDiscretizer", "KMeans",
    "KNeighborsClassifier", "KNeighborsRegressor", "LinearRegression", "LinearSVC",
    "LocalOutlierFactor", "LogisticRegression", "MLPClassifier", "MLPRegressor", "NuSVR", "PCA",
    "PowerTransformer", "QuantileTransformer", "RandomForestClassifier", "RandomForestRegressor",
    "Ridge", "SGDClassifier", "SVC", "SVR", "SplineTransformer", "StandardScaler",
)  # fmt: skip
DATA: Mapping[Callable[[Any], Data], Sequence[str]] = {
    _classes: ("NeighborhoodComponentsAnalysis", "SelectFdr", "SelectFpr", "SelectFwe",
               "SelectKBest", "SelectPercentile", "GenericUnivariateSelect"),
    partial(_classes, count=2): ("FixedThresholdClassifier", "SelfTrainingClassifier",
                                  "TunedThresholdClassifierCV"),
    _gaps: ("IterativeImputer", "KNNImputer", "MissingIndicator", "SimpleImputer"),
    _kernel: ("KernelCenterer",),
    _labels: ("LabelBinarizer", "LabelEncoder"),
    partial(_numbers, outputs=2): ("CCA", "MultiOutputRegressor", "MultiTaskElasticNet",
                                   "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV",
                                   "PLSCanonical", "PLSSVD", "RegressorChain"),
    _positive: ("AdditiveChi2Sampler", "ComplementNB", "GammaRegressor",
                "LatentDirichletAllocation", "MiniBatchNMF", "NMF", "PoissonRegressor",
                "SkewedChi2Sampler", "TweedieRegressor"),
    _several: ("ClassifierChain", "MultiOutputClassifier"),
    _single: ("IsotonicRegression",),
    _texts: ("CountVectorizer", "HashingVectorizer", "TfidfVectorizer"),
    _whole: ("CategoricalNB", "ComplementNB", "MultinomialNB", "OneHotEncoder", "OrdinalEncoder",
             "TargetEncoder"),
}  # fmt: skip


def _data(name: str, model: Any, dtype: Any) -> Data:
    from sklearn.base import is_classifier

    for make, names in DATA.items():
        if name in names and not (make is _positive and name == "ComplementNB"):
            return make(dtype)
    return _classes(dtype) if is_classifier(model) else _numbers(dtype)


def _given(name: str, dtype: Any) -> Given:
    """A fitted estimator with held-out rows."""
    from sklearn.utils import all_estimators

    model = dict(all_estimators())[name](**_arguments(name))
    if "random_state" in model.get_params():
        model.set_params(random_state=0)
    if name in NOT_ROWS:
        return _of_other_things(name, model)
    data = _data(name, model, dtype)
    half = ROWS if name == "KernelCenterer" else ROWS // 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = _fitted(model, data, half)
    held_out = data.x[ROWS // 2 :]
    return Given(fitted, data.x[:SAMPLE], list(checks(fitted, held_out)))


NOT_ROWS = ("DictVectorizer", "FeatureHasher", "MultiLabelBinarizer", "PatchExtractor")


def _of_other_things(name: str, model: Any) -> Given:
    """An estimator of what is no table: it is to be refused with a cause."""
    rows: Any = {
        "DictVectorizer": [{"a": 1.0}, {"b": 2.0}],
        "FeatureHasher": [{"a": 1.0}, {"b": 2.0}],
        "MultiLabelBinarizer": [("a", "b"), ("b",)],
        "PatchExtractor": np.zeros((2, 12, 12)),
    }[name]
    return Given(model.fit(rows), rows, [])


def _fitted(model: Any, data: Data, half: int) -> Any:
    if data.y is None:
        return model.fit(data.x[:half])
    return model.fit(data.x[:half], data.y[:half])
