"""Boosters as the last step of a pipeline, and inside of what scikit-learn composes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.datasets import make_classification
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from xgboost import XGBClassifier, XGBRegressor

X, Y = make_classification(200, 6, n_informative=4, n_redundant=0, n_classes=3, random_state=0)
FLOAT32 = 1e-5
"""XGBoost answers in it."""
QUIET = {"verbose": 0, "allow_writing_files": False}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "model",
    [
        XGBClassifier(n_estimators=5, n_jobs=1),
        LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1),
        CatBoostClassifier(iterations=5, thread_count=1, **QUIET),
    ],
    ids=lambda model: type(model).__name__,
)
def test_classifiers(check: Any, model: Any, dtype: str) -> None:
    x = X.astype(dtype)
    check.proven(
        make_pipeline(StandardScaler(), model).fit(x[:120], Y[:120]), x[:20], x[120:], fine=FLOAT32
    )


@pytest.mark.parametrize(
    "model", [XGBRegressor(n_estimators=5, n_jobs=1), LGBMRegressor(n_estimators=5, verbose=-1)]
)
def test_regressors(check: Any, model: Any) -> None:
    y = X @ np.arange(6) + X[:, 0] ** 2
    check.proven(
        make_pipeline(StandardScaler(), model).fit(X[:120], y[:120]), X[:20], X[120:], fine=FLOAT32
    )


def test_a_vote(check: Any) -> None:
    model = VotingClassifier(
        [("x", XGBClassifier(n_estimators=5, n_jobs=1)), ("l", LogisticRegression())],
        voting="soft",
    )
    check.proven(model.fit(X[:120], Y[:120]), X[:20], X[120:], fine=FLOAT32)
