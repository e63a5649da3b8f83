"""Estimators of every family, on rows of float64 and of float32."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import (
    calibration,
    cluster,
    covariance,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_selection,
    gaussian_process,
    isotonic,
    kernel_approximation,
    kernel_ridge,
    linear_model,
    manifold,
    mixture,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    preprocessing,
    random_projection,
    semi_supervised,
    svm,
    tree,
)
from sklearn.base import clone
from sklearn.datasets import make_classification, make_regression

LOGISTIC = linear_model.LogisticRegression()
PERIODIC = preprocessing.SplineTransformer(degree=3, extrapolation="periodic")
X, Y = make_classification(160, 6, n_informative=4, n_classes=3, n_redundant=0, random_state=0)
NUMBER = X @ np.array([3.0, -2, 0.5, 0, 1, 4]) + np.sin(X[:, 0])
PAIR = np.stack([NUMBER, NUMBER**2 / 9 + X[:, 1]], axis=1)
BITS = np.stack([X[:, 0] > 0, Y == 1], axis=1).astype(int)

CLASSIFIERS = [
    calibration.CalibratedClassifierCV(linear_model.RidgeClassifier(), cv=3),
    calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="isotonic", cv=3),
    calibration.CalibratedClassifierCV(LOGISTIC, method="temperature", cv=3),
    discriminant_analysis.LinearDiscriminantAnalysis(),
    discriminant_analysis.QuadraticDiscriminantAnalysis(reg_param=0.1),
    dummy.DummyClassifier(),
    ensemble.AdaBoostClassifier(n_estimators=8, random_state=0),
    ensemble.BaggingClassifier(tree.DecisionTreeClassifier(), 5, max_features=0.5, random_state=0),
    ensemble.BaggingClassifier(linear_model.RidgeClassifier(), 5, random_state=0),
    ensemble.ExtraTreesClassifier(7, max_depth=4, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
    ensemble.HistGradientBoostingClassifier(max_iter=5),
    ensemble.RandomForestClassifier(7, random_state=0),
    ensemble.StackingClassifier([("a", LOGISTIC), ("b", tree.DecisionTreeClassifier())], cv=3),
    ensemble.VotingClassifier([("a", LOGISTIC), ("b", naive_bayes.GaussianNB())], weights=[2, 1]),
    ensemble.VotingClassifier(
        [("a", LOGISTIC), ("b", naive_bayes.GaussianNB())], voting="soft", weights=[2, 1]
    ),
    gaussian_process.GaussianProcessClassifier(),
    linear_model.LogisticRegression(),
    linear_model.SGDClassifier(random_state=0),
    linear_model.SGDClassifier(loss="log_loss", random_state=0),
    linear_model.SGDClassifier(loss="modified_huber", random_state=0),
    multiclass.OneVsOneClassifier(svm.LinearSVC()),
    multiclass.OneVsRestClassifier(LOGISTIC),
    multiclass.OutputCodeClassifier(LOGISTIC, random_state=0),
    naive_bayes.BernoulliNB(),
    naive_bayes.GaussianNB(),
    neighbors.KNeighborsClassifier(),
    neighbors.KNeighborsClassifier(4, weights="distance", p=1),
    neighbors.KNeighborsClassifier(algorithm="brute", metric="cosine"),
    neighbors.NearestCentroid(),
    neighbors.RadiusNeighborsClassifier(radius=1.5, outlier_label="most_frequent"),
    neural_network.MLPClassifier((5,), max_iter=30, random_state=0),
    semi_supervised.LabelPropagation(gamma=0.5),
    semi_supervised.LabelSpreading(kernel="knn"),
    svm.LinearSVC(),
    svm.NuSVC(nu=0.3),
    svm.SVC(),
    svm.SVC(kernel="poly", decision_function_shape="ovo"),
    svm.SVC(kernel="sigmoid", break_ties=True),
    tree.DecisionTreeClassifier(max_depth=5, random_state=0),
    tree.ExtraTreeClassifier(random_state=0),
]
BINARY = [
    ensemble.AdaBoostClassifier(n_estimators=8, random_state=0),
    ensemble.GradientBoostingClassifier(loss="exponential", n_estimators=5, random_state=0),
    ensemble.HistGradientBoostingClassifier(max_iter=5),
    gaussian_process.GaussianProcessClassifier(),
    linear_model.LogisticRegressionCV(cv=3, use_legacy_attributes=False, l1_ratios=(0,)),
    linear_model.Perceptron(),
    linear_model.SGDClassifier(loss="modified_huber", random_state=0),
    model_selection.FixedThresholdClassifier(LOGISTIC, threshold=0.3, pos_label=0),
    model_selection.TunedThresholdClassifierCV(LOGISTIC, cv=3),
    multiclass.OneVsOneClassifier(LOGISTIC),
    multiclass.OneVsRestClassifier(LOGISTIC),
    neighbors.NearestCentroid(priors=[0.2, 0.8]),
    neural_network.MLPClassifier((5,), max_iter=30, activation="tanh", random_state=0),
    semi_supervised.SelfTrainingClassifier(LOGISTIC),
    svm.NuSVC(),
    svm.SVC(kernel="linear"),
]
REGRESSORS = [
    ensemble.AdaBoostRegressor(n_estimators=6, random_state=0),
    ensemble.BaggingRegressor(linear_model.Ridge(), 4, max_features=0.5, random_state=0),
    ensemble.ExtraTreesRegressor(5, random_state=0),
    ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0),
    ensemble.GradientBoostingRegressor(
        n_estimators=4, init=linear_model.LinearRegression(), random_state=0
    ),
    ensemble.HistGradientBoostingRegressor(max_iter=5, loss="quantile", quantile=0.7),
    ensemble.RandomForestRegressor(5, random_state=0),
    ensemble.StackingRegressor([("a", linear_model.Ridge())], passthrough=True, cv=3),
    ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", svm.SVR())], weights=[1, 3]),
    linear_model.LinearRegression(),
    linear_model.RANSACRegressor(random_state=0),
    linear_model.TheilSenRegressor(random_state=0, max_subpopulation=50),
    neighbors.KNeighborsRegressor(weights="distance"),
    neighbors.RadiusNeighborsRegressor(radius=9.0),
    neural_network.MLPRegressor(
        hidden_layer_sizes=(4,), max_iter=30, activation="logistic", random_state=0
    ),
    svm.NuSVR(),
    svm.SVR(kernel="sigmoid"),
    tree.DecisionTreeRegressor(max_depth=5, random_state=0),
    cross_decomposition.PLSRegression(2),
]
KERNELS = [
    gaussian_process.GaussianProcessRegressor(
        gaussian_process.kernels.Matern() + gaussian_process.kernels.DotProduct(), alpha=0.1
    ),
    gaussian_process.GaussianProcessRegressor(
        2.0 * gaussian_process.kernels.RationalQuadratic() ** 2, alpha=0.5, normalize_y=True
    ),
    gaussian_process.GaussianProcessRegressor(
        gaussian_process.kernels.ExpSineSquared(9.0) + gaussian_process.kernels.WhiteKernel(),
        alpha=2.0,
        optimizer=None,
    ),
    kernel_ridge.KernelRidge(kernel="chi2", gamma=0.2),
    kernel_ridge.KernelRidge(kernel="cosine"),
    kernel_ridge.KernelRidge(kernel="laplacian", gamma=0.2),
    kernel_ridge.KernelRidge(kernel="poly", degree=2),
]
SEVERAL = [
    cross_decomposition.CCA(1),
    ensemble.RandomForestRegressor(4, random_state=0),
    linear_model.LinearRegression(),
    linear_model.MultiTaskLasso(),
    multioutput.MultiOutputRegressor(linear_model.Ridge()),
    multioutput.RegressorChain(linear_model.Ridge(), order=[1, 0]),
    neighbors.KNeighborsRegressor(3),
]
LABELS = [
    ensemble.RandomForestClassifier(5, random_state=0),
    linear_model.RidgeClassifier(),
    multiclass.OneVsRestClassifier(LOGISTIC),
    multioutput.ClassifierChain(LOGISTIC, order=[1, 0]),
    multioutput.MultiOutputClassifier(LOGISTIC),
    neighbors.KNeighborsClassifier(3),
    neural_network.MLPClassifier((5,), max_iter=30, random_state=0),
    tree.DecisionTreeClassifier(max_depth=3, random_state=0),
]
OTHERS = [
    cluster.AffinityPropagation(random_state=0),
    cluster.Birch(n_clusters=3),
    cluster.BisectingKMeans(4, random_state=0),
    cluster.KMeans(4, random_state=0),
    cluster.MeanShift(),
    covariance.EllipticEnvelope(random_state=0),
    ensemble.IsolationForest(n_estimators=8, max_features=0.5, random_state=0),
    linear_model.SGDOneClassSVM(random_state=0),
    mixture.BayesianGaussianMixture(n_components=2, random_state=0),
    mixture.GaussianMixture(n_components=3, covariance_type="tied", random_state=0),
    mixture.GaussianMixture(n_components=3, covariance_type="spherical", random_state=0),
    neighbors.LocalOutlierFactor(novelty=True),
    svm.OneClassSVM(),
]
TRANSFORMERS = [
    cluster.FeatureAgglomeration(n_clusters=3),
    decomposition.DictionaryLearning(
        3, transform_algorithm="threshold", random_state=0, max_iter=9
    ),
    decomposition.FactorAnalysis(n_components=2, random_state=0),
    decomposition.FastICA(n_components=3, random_state=0),
    decomposition.KernelPCA(n_components=3, kernel="rbf", random_state=0),
    decomposition.PCA(3, whiten=True),
    decomposition.SparsePCA(n_components=2, random_state=0, max_iter=20),
    decomposition.TruncatedSVD(2, random_state=0),
    ensemble.RandomTreesEmbedding(n_estimators=4, max_depth=3, random_state=0),
    feature_selection.RFE(linear_model.Ridge(), n_features_to_select=2),
    feature_selection.SelectKBest(feature_selection.f_regression, k=2),
    kernel_approximation.Nystroem(n_components=9, random_state=0),
    kernel_approximation.PolynomialCountSketch(n_components=8, coef0=1, random_state=0),
    kernel_approximation.RBFSampler(n_components=9, random_state=0),
    manifold.Isomap(n_components=2),
    neighbors.KNeighborsTransformer(n_neighbors=3),
    neighbors.RadiusNeighborsTransformer(radius=1.0),
    neural_network.BernoulliRBM(n_components=3, n_iter=2, random_state=0),
    preprocessing.Binarizer(threshold=0.2),
    preprocessing.KBinsDiscretizer(3, encode="ordinal", quantile_method="averaged_inverted_cdf"),
    preprocessing.KBinsDiscretizer(3, strategy="uniform"),
    preprocessing.MaxAbsScaler(),
    preprocessing.MinMaxScaler(clip=True),
    preprocessing.Normalizer("max"),
    preprocessing.PolynomialFeatures(3, interaction_only=True),
    preprocessing.PolynomialFeatures(2, include_bias=False),
    preprocessing.PowerTransformer(),
    preprocessing.QuantileTransformer(n_quantiles=30),
    preprocessing.QuantileTransformer(n_quantiles=30, output_distribution="normal"),
    preprocessing.RobustScaler(),
    *(
        preprocessing.SplineTransformer(degree=degree, extrapolation=extrapolation)
        for degree in (1, 3)
        for extrapolation in ("constant", "linear", "continue", "periodic")
        if (degree, extrapolation) != (3, "periodic")
    ),
    preprocessing.StandardScaler(),
    random_projection.SparseRandomProjection(n_components=2, random_state=0),
]


def fitted(model: Any, x: Any, y: Any = None) -> Any:
    with warnings.catch_warnings(action="ignore"):
        return clone(model).fit(x[:100], None if y is None else y[:100])


def name_of(model: Any) -> str:
    return type(model).__name__


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("model", CLASSIFIERS, ids=name_of)
def test_classifiers(check: Any, model: Any, dtype: str) -> None:
    x = X.astype(dtype)
    pack = check.proven(fitted(model, x, np.array(["c", "a", "b"])[Y]), x[:25], x[100:])
    assert pack.manifest.labels == ("a", "b", "c")


@pytest.mark.parametrize("model", BINARY, ids=name_of)
def test_two_classes(check: Any, model: Any) -> None:
    check.proven(fitted(model, X, (Y == 1).astype(int)), X[:25], X[100:])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("model", REGRESSORS, ids=name_of)
def test_regressors(check: Any, model: Any, dtype: str) -> None:
    x = X.astype(dtype)
    pack = check.proven(fitted(model, x, NUMBER.astype(dtype)), x[:25], x[100:], fine=1e-5)
    assert [spec.name for spec in pack.manifest.signature.outputs] == ["prediction"]


@pytest.mark.parametrize("model", KERNELS, ids=name_of)
def test_kernels(check: Any, model: Any) -> None:
    x = np.abs(X)
    check.proven(fitted(model, x, NUMBER), x[:25], x[100:])


@pytest.mark.parametrize("model", SEVERAL, ids=name_of)
def test_several_numbers(check: Any, model: Any) -> None:
    check.proven(fitted(model, X, PAIR), X[:25], X[100:])


@pytest.mark.parametrize("model", LABELS, ids=name_of)
def test_several_labels(check: Any, model: Any) -> None:
    check.proven(fitted(model, X, BITS), X[:25], X[100:])


@pytest.mark.parametrize("model", OTHERS, ids=name_of)
def test_clusters_and_outliers(check: Any, model: Any) -> None:
    pack = check.proven(fitted(model, X), X[:25], X[100:])
    assert pack.manifest.signature.outputs[0].name == "label"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("model", TRANSFORMERS, ids=name_of)
def test_transformers(check: Any, model: Any, dtype: str) -> None:
    x = X.astype(dtype)
    check.proven(fitted(model, x, NUMBER), x[:25], x[100:])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_is_next_to_nothing(check: Any, dtype: str) -> None:
    """At its knots a periodic spline is 1e-17 in place of 0, and 0.6 beside it."""
    x = X.astype(dtype)
    check.proven(fitted(PERIODIC, x, NUMBER), x[:25], x[100:])


def test_positive_targets(check: Any) -> None:
    model = fitted(linear_model.PoissonRegressor(), X, np.abs(NUMBER))
    check.proven(model, X[:25], X[100:])


def test_rising_function(check: Any) -> None:
    model = fitted(isotonic.IsotonicRegression(out_of_bounds="clip"), X[:, 0], NUMBER)
    pack = check.proven(model, X[:25, 0], X[100:, 0])
    assert str(pack.manifest.signature.inputs[0]) == "float64[batch]"


@pytest.mark.parametrize("model", [naive_bayes.CategoricalNB(min_categories=9)])
def test_whole_numbers(check: Any, model: Any) -> None:
    rows = np.clip(X * 2, -3, 3).astype(np.int64) + 3
    pack = check.proven(fitted(model, rows, Y), rows[:25], rows[100:])
    assert str(pack.manifest.signature.inputs[0]) == "int64[batch, 6]"


def test_regression_of_real_size(check: Any) -> None:
    x, y = make_regression(3000, 30, noise=3, random_state=1)
    model = ensemble.HistGradientBoostingRegressor(max_iter=60).fit(x[:2000], y[:2000])
    check.proven(model, x[:50], x[2000:])
