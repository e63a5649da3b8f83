"""Missing values in combination, and rows that are equally far from several training rows."""

from __future__ import annotations

import ast
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes the next one
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

import onnxpack
from onnxpack.errors import ParityError
from onnxpack.exporters.sklearn.gaps import gap_feeds
from onnxpack.exporters.sklearn.ties import describe_ties

random = np.random.default_rng(0)
X = random.normal(size=(150, 4))
Y = X.sum(axis=1)


def gaps(rows: Any, share: float, seed: int = 1) -> Any:
    return np.where(np.random.default_rng(seed).random(rows.shape) < share, np.nan, rows)


HOLED = gaps(X, 0.1)


@pytest.mark.parametrize(
    "model",
    [
        KNNImputer(),
        make_pipeline(KNNImputer(n_neighbors=2, add_indicator=True), Ridge()),
        make_pipeline(SimpleImputer(add_indicator=True), Ridge()),
        IterativeImputer(max_iter=2, random_state=0),
        HistGradientBoostingRegressor(max_iter=4),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_many_gaps(check: Any, model: Any) -> None:
    model.fit(HOLED, Y)
    tests = np.concatenate([gaps(X, share, seed) for share in (0.3, 0.7) for seed in range(5)])
    pack = check.proven(model, HOLED[:40], tests)
    asked = [case.name for case in pack.manifest.parity.cases]
    assert {"missing values, 10%", "missing values, 40%", "no value", "one value"} <= set(asked)


@pytest.mark.parametrize(
    "rows",
    [
        np.round(X, 1),
        (X > 0).astype(float) + X.round(),
        np.rint(X * 2),
    ],
    ids=["rounded", "few values", "whole"],
)
def test_equal_distances_with_gaps(check: Any, rows: Any) -> None:
    model = make_pipeline(KNNImputer(n_neighbors=4), Ridge()).fit(gaps(rows, 0.1), Y)
    error = check.refused(model, gaps(rows, 0.1, 3)[:40], "equally far from several training rows")
    assert isinstance(error, ParityError)
    assert "row " in error.message
    if "accept=[" in error.remedy:  # else distances are equal in the sample itself
        accepted = ast.literal_eval(re.findall(r"accept=(\[.*?\])", error.remedy)[0])
        sample, folder = gaps(rows, 0.1, 3)[:40], check.folder / "pack"
        pack = onnxpack.export(model, sample, folder, accept=accepted)
        assert {case.name for case in pack.manifest.parity.cases if case.accepted} == set(accepted)


def test_which_rows_are_equally_far() -> None:
    grid = np.array([[0.0], [2.0], [4.0]])
    model = KNeighborsRegressor(1).fit(grid, [1, 2, 3])
    assert "row 1 from 0 and 1" in describe_ties(model, np.array([[0.5], [1.0]]))
    assert describe_ties(model, np.array([[0.5]])) == ""
    scaled = make_pipeline(StandardScaler(), model).fit(grid, [1, 2, 3])
    assert "row 0 from 0 and 1" in describe_ties(scaled, np.array([[1.0]]))
    assert describe_ties(GaussianNB(), grid) == ""


def test_a_column_that_takes_no_gaps_leaves_the_others_asked(check: Any) -> None:
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": random.choice(["x", "y"], len(X))})
    columns = make_column_transformer(
        (SimpleImputer(), ["a"]), (OrdinalEncoder(), ["c"]), remainder="passthrough"
    )
    model = make_pipeline(columns, LinearRegression()).fit(frame, Y)
    pack = check.proven(model, frame.head(30))
    names = [case.name for case in pack.manifest.parity.cases]
    assert "missing values" in names
    assert "missing values, 40%" in names
    assert "unseen values" not in names


def test_gaps_are_where_the_model_takes_them() -> None:
    def run(feeds: Any) -> None:
        if np.isnan(feeds["X"][:, 1]).any() or (feeds["word"] == "never seen before").any():
            raise ValueError

    sample = {"X": X[:5].copy(), "word": np.array([["a"], ["b"]] * 2 + [["a"]], object)}
    found = dict(gap_feeds(sample, run))
    assert "unseen values" not in found
    for name, feeds in found.items():
        assert not np.isnan(feeds["X"][:, 1]).any(), name
    assert np.isnan(found["no value"]["X"]).sum() == 3
    assert (found["no value"]["word"] == "").all()
    share = np.isnan(found["missing values, 40%"]["X"][:, [0, 2, 3]]).mean()
    assert 0.35 < share < 0.45


def test_rows_at_no_distance_from_two_donors_are_asked(check: Any) -> None:
    random = np.random.default_rng(0)
    known = random.normal(size=(150, 4))
    known[random.random(known.shape) < 0.2] = np.nan
    model = KNNImputer(n_neighbors=3, weights="distance").fit(known)
    error = check.refused(model, known, "case 'training rows with gaps' some rows are equally far")
    assert "accept=['training rows with gaps']" in str(error.remedy)
    check.proven(model, known, accept=["training rows with gaps"])


def test_a_batch_without_any_value_gets_the_initial_values(check: Any) -> None:
    model = IterativeImputer(random_state=0).fit(HOLED)
    pack = check.proven(model, HOLED, gaps(X, 0.5))
    for rows in (np.full((3, 4), np.nan), np.vstack([np.full((2, 4), np.nan), X[:1]])):
        np.testing.assert_allclose(onnxpack.Model(pack)(rows), model.transform(rows), rtol=1e-6)
