"""Graphs in the precision in which scikit-learn computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import (
    ElasticNet,
    LassoLars,
    LinearRegression,
    LogisticRegression,
    MultiTaskLasso,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

random = np.random.default_rng(0)
X = random.random((120, 4)).astype(np.float32)
SUM = X.sum(axis=1)
CLASS = random.integers(0, 3, len(X))


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (Ridge(fit_intercept=False), SUM),
        (LinearRegression(fit_intercept=False), np.stack([SUM, -SUM], axis=1)),
        (ElasticNet(alpha=0.01, fit_intercept=False), SUM),
        (LassoLars(alpha=0.01, fit_intercept=False), SUM),
        (MultiTaskLasso(alpha=0.01, fit_intercept=False), np.stack([SUM, -SUM], axis=1)),
        (PoissonRegressor(fit_intercept=False), SUM),
        (RidgeClassifier(fit_intercept=False), CLASS),
        (LogisticRegression(fit_intercept=False), CLASS),
        (make_pipeline(MinMaxScaler(), Ridge(fit_intercept=False)), SUM),
    ],
    ids=lambda value: type(value).__name__,
)
def test_without_an_intercept(check: Any, model: Any, y: Any) -> None:
    pack = check.proven(model.fit(X, y), X[:40], X)
    wanted = {"Ridge": "float32"}.get(type(model).__name__)
    assert wanted is None or pack.manifest.signature.outputs[0].dtype == wanted
    assert check.proven(model, X[:40].astype(np.float64), X.astype(np.float64), force=True)


@pytest.mark.parametrize(
    "model",
    [
        SGDClassifier(loss="log_loss", random_state=0),
        OneVsRestClassifier(SGDClassifier(loss="log_loss", random_state=0)),
        OneVsRestClassifier(LogisticRegression()),
        MLPClassifier((3,), activation="logistic", max_iter=5, random_state=0),
    ],
    ids=["several classes", "one against rest", "logistic", "network"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_shares_that_underflow(check: Any, model: Any) -> None:
    for rows in (X, X.astype(np.float64)):
        model.fit((rows - 0.5) * 200, CLASS)
        steep = (rows - 0.5) * np.geomspace(0.1, 3000, len(rows), dtype=rows.dtype)[:, None]
        check.proven(model, (rows[:40] - 0.5) * 200, steep, force=True)
