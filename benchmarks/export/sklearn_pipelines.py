"""Pipelines of scikit-learn's as people write them: mixed frames, texts, gaps, stacks, searches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from case import Case, Given
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest
from sklearn.impute import KNNImputer, SimpleImputer
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
from sklearn.naive_bayes import GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn_answers import checks

ROWS, SAMPLE = 600, 40
NUMBERS, WORDS = ["age", "income", "visits"], ["city", "plan"]
LIKELY = {"random_state": 0}


def pipelines() -> Iterator[Case]:
    """Each on real or realistic rows, fitted on the first two thirds."""
    for group in (_on_arrays(), _on_frames(), _on_gaps(), _on_texts(), _of_several()):
        for name, make, data in group:
            yield Case(f"pipelines/{name}", partial(_given, make, data))


Rows = Iterator[tuple[str, Callable[[], Any], Callable[[], tuple[Any, Any]]]]


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


def people() -> tuple[Any, Any]:
    """Rows of people: numbers, whole numbers, bools, words, and classes that are words."""
    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, ROWS),
            "income": random.lognormal(10, 0.6, ROWS).round(2),
            "visits": random.poisson(3, ROWS),
            "member": random.random(ROWS) < 0.4,
            "city": random.choice(["Oslo", "Łódź", "São Paulo", "東京", "Bern"], ROWS),
            "plan": random.choice(["free", "basic", "pro"], ROWS, p=[0.6, 0.3, 0.1]),
        }
    )
    score = frame["age"] / 30 + frame["member"] + (frame["plan"] == "pro") * 2
    score += random.normal(0, 0.4, ROWS)
    return frame, np.where(score > 3, "stays", np.where(score > 2, "wavers", "leaves"))


def spending() -> tuple[Any, Any]:
    """The same rows with a number to predict."""
    frame, _ = people()
    random = np.random.default_rng(8)
    return frame, frame["income"] / 1000 + frame["visits"] * 5 + random.normal(0, 1, ROWS)


def gaps() -> tuple[Any, Any]:
    """The same rows with holes in numbers and in words, and a nullable column."""
    frame, y = people()
    random = np.random.default_rng(9)
    frame["income"] = frame["income"].mask(random.random(ROWS) < 0.1)
    frame["city"] = frame["city"].mask(random.random(ROWS) < 0.1)
    frame["visits"] = frame["visits"].astype("Int64").mask(random.random(ROWS) < 0.1)
    return frame, y


def categories() -> tuple[Any, Any]:
    """The same rows with columns of pandas' category dtype."""
    frame, y = people()
    return frame.astype({"city": "category", "plan": "category"}), y


def _split() -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numbers", StandardScaler(), NUMBERS),
            ("words", OneHotEncoder(handle_unknown="ignore"), WORDS),
        ],
        remainder="passthrough",
    )


def _on_frames() -> Rows:
    selector: Any = make_column_selector
    yield (
        "frame, logistic regression",
        lambda: make_pipeline(_split(), LogisticRegression(max_iter=5000)),
        people,
    )
    yield (
        "frame, boosted trees",
        lambda: make_pipeline(
            make_column_transformer(
                (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), WORDS),
                remainder="passthrough",
            ),
            HistGradientBoostingClassifier(max_iter=30),
        ),
        people,
    )
    yield (
        "frame, categories by dtype",
        lambda: HistGradientBoostingClassifier(max_iter=30, categorical_features="from_dtype"),
        categories,
    )
    yield (
        "frame, target encoder",
        lambda: make_pipeline(
            make_column_transformer(
                (TargetEncoder(random_state=0), WORDS), remainder="passthrough"
            ),
            RandomForestRegressor(20, random_state=0),
        ),
        spending,
    )
    yield (
        "frame, columns by dtype",
        lambda: make_pipeline(
            make_column_transformer(
                (
                    OneHotEncoder(min_frequency=0.2, handle_unknown="infrequent_if_exist"),
                    selector(dtype_include=[object, "string", "str"]),
                ),
                (PowerTransformer(), selector(dtype_include="number")),
            ),
            Ridge(),
        ),
        spending,
    )
    yield (
        "frame, dropped first categories",
        lambda: make_pipeline(
            make_column_transformer(
                (OneHotEncoder(drop="first"), WORDS), (MinMaxScaler(), ["income"])
            ),
            GradientBoostingRegressor(n_estimators=20, random_state=0),
        ),
        spending,
    )
    yield (
        "frame, of numbers alone",
        lambda: RandomForestClassifier(20, random_state=0),
        lambda: (people()[0][NUMBERS], people()[1]),
    )
    yield (
        "frame, pandas out",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("n", StandardScaler(), NUMBERS),
                    ("w", OneHotEncoder(sparse_output=False), WORDS),
                ],
                verbose_feature_names_out=False,
            ).set_output(transform="pandas"),
            GradientBoostingClassifier(n_estimators=10, random_state=0),
        ),
        people,
    )
    yield (
        "frame, searched",
        lambda: GridSearchCV(
            make_pipeline(_split(), SVC(probability=False)), {"svc__C": [1, 5]}, cv=3
        ),
        people,
    )


def _on_gaps() -> Rows:
    yield (
        "gaps filled, frame",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    (
                        "n",
                        make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                        NUMBERS,
                    ),
                    (
                        "w",
                        make_pipeline(
                            SimpleImputer(strategy="most_frequent"),
                            OneHotEncoder(handle_unknown="ignore"),
                        ),
                        WORDS,
                    ),
                ]
            ),
            LogisticRegression(max_iter=5000),
        ),
        gaps,
    )
    yield (
        "gaps as a category",
        lambda: make_pipeline(
            ColumnTransformer(
                [
                    ("n", SimpleImputer(add_indicator=True), NUMBERS),
                    ("w", OneHotEncoder(handle_unknown="ignore"), WORDS),
                ]
            ),
            RandomForestClassifier(20, random_state=0),
        ),
        gaps,
    )
    yield (
        "gaps and histogram boosting",
        lambda: HistGradientBoostingClassifier(max_iter=20),
        lambda: (gaps()[0][["age", "income", "visits"]], gaps()[1]),
    )
    yield (
        "gaps by neighbours",
        lambda: make_pipeline(KNNImputer(), HistGradientBoostingRegressor(max_iter=20)),
        lambda: (gaps()[0][["age", "income", "visits"]], spending()[1]),
    )


SUBJECTS = (
    "the rocket reached orbit", "NASA's new telescope", "a planet with 2 moons",
    "the goalkeeper saved it", "they won 3-1 in overtime", "Coach said: 'no comment'",
    "installing the driver failed", "my GPU is slow today", "reboot the server, please",
)  # fmt: skip


def messages() -> tuple[Any, Any]:
    """Short English texts of three kinds."""
    random = np.random.default_rng(3)
    index = random.integers(0, len(SUBJECTS), ROWS)
    texts = [f"{SUBJECTS[i]} {SUBJECTS[random.integers(3) + i // 3 * 3]}" for i in index]
    return texts, np.array(["space", "sport", "computers"])[index // 3]


def _on_texts() -> Rows:
    yield (
        "texts, TF-IDF and regression",
        lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()),
        messages,
    )
    yield (
        "texts, counts and Bayes",
        lambda: make_pipeline(CountVectorizer(binary=True, ngram_range=(1, 2)), MultinomialNB()),
        messages,
    )
    yield (
        "texts, no case folding",
        lambda: make_pipeline(
            TfidfVectorizer(lowercase=False, sublinear_tf=True, min_df=5), SGDClassifier(**LIKELY)
        ),
        messages,
    )
    yield (
        "texts, latent meaning",
        lambda: make_pipeline(
            TfidfVectorizer(stop_words="english"),
            TruncatedSVD(5, **LIKELY),
            StandardScaler(),
            SVC(),
        ),
        messages,
    )
    yield (
        "texts beside numbers",
        lambda: make_pipeline(
            ColumnTransformer(
                [("t", TfidfVectorizer(), "text"), ("n", StandardScaler(), ["length"])]
            ),
            LogisticRegression(),
        ),
        lambda: (
            pd.DataFrame({"text": messages()[0], "length": [float(len(t)) for t in messages()[0]]}),
            messages()[1],
        ),
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
