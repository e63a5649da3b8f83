"""What boosters inside a pipeline are handed: sparse matrices, and frames with categories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MaxAbsScaler,
    OneHotEncoder,
    QuantileTransformer,
    SplineTransformer,
)
from tests.exporters.sklearn.conftest import feeds_of, run_with_what_is_read
from xgboost import XGBClassifier, XGBRegressor

import onnxpack

FLOAT32 = 1e-5
QUIET = {"verbose": 0, "allow_writing_files": False}
RANDOM = np.random.default_rng(0)
WORDS = np.array(["good", "bad", "fine", "awful", "dull"])
TEXTS = [" ".join(WORDS[RANDOM.integers(0, 5, 4)]) for _ in range(120)]
MOODS = np.array([("good" in text) + 2 * ("bad" in text) for text in TEXTS]) % 3
SPENT = pd.DataFrame(
    {
        "city": [f"c{number}" for number in RANDOM.integers(0, 60, 300)],
        "spend": np.where(RANDOM.random(300) < 0.3, 0.0, RANDOM.lognormal(3, 1, 300)),
        "debt": np.where(RANDOM.random(300) < 0.5, 0.0, RANDOM.lognormal(2, 1, 300)),
    }
)
DUE = (SPENT["debt"] == 0) * 3 - np.log1p(SPENT["spend"])
NO_ZEROS = SPENT[(SPENT["spend"] > 0) & (SPENT["debt"] > 0)].head(20)


def booster(**settings: Any) -> XGBClassifier:
    return XGBClassifier(n_estimators=4, n_jobs=1, **settings)


def mixed(**settings: Any) -> ColumnTransformer:
    return ColumnTransformer(
        [("city", OneHotEncoder(handle_unknown="ignore"), ["city"])],
        remainder="passthrough",
        **settings,
    )


@pytest.mark.parametrize("settings", [{}, {"sparse_threshold": 0}], ids=["sparse", "dense"])
def test_zeros_that_no_row_of_the_sample_shows(check: Any, settings: dict[str, Any]) -> None:
    model = make_pipeline(mixed(**settings), XGBRegressor(n_estimators=3, max_depth=3, n_jobs=1))
    check.proven(model.fit(SPENT, DUE), NO_ZEROS, SPENT, fine=FLOAT32)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(TfidfVectorizer(), booster()),
        make_pipeline(CountVectorizer(), booster(missing=1.0)),
        make_pipeline(TfidfVectorizer(), LGBMClassifier(n_estimators=3, verbose=-1)),
        make_pipeline(
            CountVectorizer(),
            CatBoostClassifier(iterations=3, **QUIET),
        ),
        make_pipeline(CountVectorizer(), MaxAbsScaler(), booster()),
        make_pipeline(TfidfVectorizer(), CalibratedClassifierCV(booster(), cv=2)),
        make_pipeline(TfidfVectorizer(), OneVsRestClassifier(booster())),
        make_pipeline(TfidfVectorizer(), BaggingClassifier(booster(), 2, n_jobs=2)),
        make_pipeline(
            CountVectorizer(),
            StackingClassifier([("x", booster())], booster(), passthrough=True, cv=2),
        ),
        VotingClassifier(
            [
                ("x", make_pipeline(TfidfVectorizer(), booster())),
                ("l", make_pipeline(TfidfVectorizer(), LogisticRegression())),
            ],
            voting="soft",
        ),
        make_pipeline(HashingVectorizer(n_features=32, alternate_sign=False), booster()),
    ],
    ids=str,
)
def test_texts(check: Any, model: Any) -> None:
    check.proven(model.fit(TEXTS, MOODS), TEXTS[:30], ["", "bad good", "dull"], fine=FLOAT32)


def test_bins(check: Any) -> None:
    rows = RANDOM.normal(size=(200, 3))
    model = make_pipeline(KBinsDiscretizer(4), booster()).fit(rows, rows[:, 0] > 0)
    check.proven(model, rows[:30], rows, fine=FLOAT32)


@pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array])
def test_a_sparse_sample_means_what_it_does_to_the_model(check: Any, kind: Any) -> None:
    rows = np.where(RANDOM.random((200, 3)) < 0.4, 0, RANDOM.normal(size=(200, 3)))
    model = make_pipeline(MaxAbsScaler(), booster()).fit(kind(rows), rows[:, 0] > 0)
    pack = onnxpack.export(model, kind(rows[:30]), check.folder / "pack")
    found = onnxpack.Model(pack, provider="cpu").run({"X": rows})["probabilities"]
    np.testing.assert_allclose(found, model.predict_proba(kind(rows)), FLOAT32)


def test_zeros_of_a_sparse_matrix_keep_out_of_its_quantiles(check: Any) -> None:
    model = make_pipeline(
        mixed(),
        QuantileTransformer(
            n_quantiles=20, ignore_implicit_zeros=True, output_distribution="normal"
        ),
    )
    check.proven(model.fit(SPENT), NO_ZEROS, SPENT)


@pytest.mark.parametrize(
    ("steps", "rows"),
    [
        ((HashingVectorizer(n_features=32),), TEXTS),
        ((mixed(), SimpleImputer()), SPENT),
        ((SplineTransformer(sparse_output=True),), SPENT[["spend"]].to_numpy()),
    ],
    ids=["hashes", "imputer", "splines"],
)
def test_stored_zeros_are_refused(check: Any, steps: Any, rows: Any) -> None:
    model = make_pipeline(*steps, booster()).fit(rows, RANDOM.integers(0, 2, len(rows)))
    error = check.refused(model, rows[:20], "can store zeros in a sparse matrix")
    assert "sparse_threshold=0" in str(error.remedy)


CODES = np.array([0, 1, 2, 3, 50, 99])
COUNT = 400
KIND = RANDOM.choice(CODES, COUNT)
SOLD = pd.DataFrame(
    {
        "kind": pd.Categorical(KIND),
        "city": pd.Categorical(RANDOM.choice(["Bonn", "Köln", "Ulm"], COUNT)),
        "size": RANDOM.normal(size=COUNT),
    }
)
DEAR = ((KIND == 99) | (KIND == 2)) ^ (SOLD["size"].to_numpy() > 1.5)
SMALL_CODES = SOLD[KIND < 9].head(12)
"""Rows whose categories are equal to their codes."""


def holds(check: Any, model: Any, sample: Any, rows: Any) -> None:
    pack = onnxpack.export(model, sample, check.folder / "pack")
    found = run_with_what_is_read(pack, fed(rows))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), FLOAT32, 1e-6)


def fed(rows: Any) -> Any:
    """Rows as a client sends them: the categories themselves."""
    return feeds_of(rows.assign(kind=rows["kind"].to_numpy(), city=rows["city"].astype(object)))


def light() -> LGBMClassifier:
    return LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1, cat_smooth=1, min_data_per_group=3)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline("passthrough", light()),
        make_pipeline("passthrough", booster(enable_categorical=True)),
        make_pipeline(
            "passthrough",
            CatBoostClassifier(
                iterations=4,
                cat_features=["kind", "city"],
                one_hot_max_size=99,
                **QUIET,
            ),
        ),
        CalibratedClassifierCV(light(), cv=2),
        CalibratedClassifierCV(booster(enable_categorical=True), cv=2),
        VotingClassifier([("l", light()), ("x", booster(enable_categorical=True))], voting="soft"),
        OneVsRestClassifier(light()),
    ],
    ids=str,
)
def test_categories_that_are_numbers(check: Any, model: Any) -> None:
    model.fit(SOLD, DEAR)
    sample = SOLD.head(100) if "CatBoost" in str(model) else SMALL_CODES
    holds(check, model, sample, SOLD)


def test_categories_with_gaps(check: Any) -> None:
    rows = SOLD.assign(kind=SOLD["kind"].where(SOLD["size"] < 1))
    model = make_pipeline("passthrough", light()).fit(rows, DEAR)
    pack = onnxpack.export(model, rows.head(60), check.folder / "pack")
    kinds = rows["kind"].astype("float64").to_numpy()[:, None]
    feeds = {**fed(rows.assign(kind=0)), "kind": kinds}
    found = onnxpack.Model(pack, provider="cpu").run(feeds)["probabilities"]
    np.testing.assert_allclose(found, model.predict_proba(rows), FLOAT32)
    odd = onnxpack.Model(pack, provider="cpu").run({**feeds, "kind": kinds * 0 + 2.5})
    none = model.predict_proba(rows.assign(kind=SOLD["kind"].where(SOLD["size"] > 99)))
    np.testing.assert_allclose(odd["probabilities"], none, FLOAT32)


def test_a_column_called_as_an_output(check: Any) -> None:
    rows = SOLD.rename(columns={"size": "label"})
    model = make_pipeline("passthrough", light()).fit(rows, DEAR)
    pack = onnxpack.export(model, rows.head(40), check.folder / "pack")
    found = onnxpack.Model(pack, provider="cpu").run(fed(rows))["label_output"]
    np.testing.assert_array_equal(found, model.predict(rows))


def test_categories_from_a_step_before_are_refused(check: Any) -> None:
    before = ColumnTransformer([("all", "passthrough", ["kind", "size"])])
    model = make_pipeline(before.set_output(transform="pandas"), light()).fit(SOLD, DEAR)
    error = check.refused(model, SMALL_CODES, "categories from a step before")
    assert "OrdinalEncoder" in str(error.remedy)


def test_values_of_categories_that_a_step_makes_plain(check: Any) -> None:
    before = ColumnTransformer([("all", "passthrough", ["kind", "size"])])
    model = make_pipeline(before, light()).fit(SOLD, DEAR)
    holds(check, model, SMALL_CODES, SOLD)
