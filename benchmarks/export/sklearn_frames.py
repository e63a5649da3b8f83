"""Pipelines over data frames: numbers, words, categories, gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import (
    ColumnTransformer,
    make_column_selector,
    make_column_transformer,
)
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import (
    LogisticRegression,
    Ridge,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC
from sklearn_answers import Rows

ROWS = 600
NUMBERS, WORDS = ["age", "income", "visits"], ["city", "plan"]


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


def on_frames() -> Rows:
    """Of numbers, words and pandas' categories."""
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


def on_gaps() -> Rows:
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
