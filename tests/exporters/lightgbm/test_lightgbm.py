from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from tests.exporters.trees.held import CLASS, FULL, NUMBER, POSITIVE, X, hold, of_table, table

import onnxpack
from onnxpack.errors import ExportError, SampleError, TargetError
from onnxpack.exporters.lightgbm.links import write_link
from onnxpack.exporters.lightgbm.model import Description
from onnxpack.exporters.target.load import load_target
from onnxpack.exporters.trees.graph import Graph

SMALL: dict[str, Any] = {"n_estimators": 8, "min_child_samples": 3, "verbose": -1, "n_jobs": 1}
RF = {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}
SETS = {"min_data_per_group": 2, "cat_smooth": 1.0, "cat_l2": 1.0}
SHARE = 1 / (1 + np.exp(-NUMBER))


def regressor(y: Any = NUMBER, x: Any = X, **options: Any) -> Any:
    return lgb.LGBMRegressor(**SMALL | options).fit(x, y)


def booster(y: Any = NUMBER, x: Any = X, rounds: int = 6, **options: Any) -> Any:
    given = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 3, **options}
    return lgb.train(given, lgb.Dataset(x, y), rounds)


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "regression"},
        {"objective": "regression_l1"},
        {"objective": "huber"},
        {"objective": "fair"},
        {"objective": "quantile"},
        {"objective": "mape"},
        {"objective": "poisson", "y": POSITIVE},
        {"objective": "gamma", "y": POSITIVE},
        {"objective": "tweedie", "y": POSITIVE},
        {"objective": "cross_entropy", "y": SHARE},
        {"objective": "cross_entropy_lambda", "y": SHARE},
        {"reg_sqrt": True},
        {"boosting_type": "dart"},
        RF,
        {"data_sample_strategy": "goss"},
        {"x": FULL},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"linear_tree": True},
        {"linear_tree": True, "num_leaves": 3, "x": FULL},
        {"monotone_constraints": [1, -1, 0, 0]},
    ],
    ids=lambda options: " ".join(f"{k}={v}" for k, v in options.items() if k not in "xy"),
)
def test_regressors(tmp_path: Path, options: dict[str, Any]) -> None:
    model = regressor(**options)
    hold(tmp_path, model, X[:4], X, model.predict)


def test_a_line_is_left_where_one_of_its_features_is_missing(tmp_path: Path) -> None:
    model = regressor(FULL[:, 0] * 3 + FULL[:, 1], linear_tree=True)
    assert any(line for n in range(8) for line in Description.of(model.booster_).linear(n).features)
    hold(tmp_path, model, X[:4].astype("float32"), X.astype("float32"), model.predict)


@pytest.mark.parametrize(
    ("y", "options"),
    [
        (CLASS > 0, {}),
        (np.where(CLASS > 0, "yes", "no"), {"sigmoid": 2.0}),
        (CLASS > 0, RF),
        (CLASS, {}),
        (np.array(["a", "b", "c"])[CLASS], {"objective": "multiclassova", "sigmoid": 0.5}),
        (CLASS * 10.0, RF),
        (CLASS, {"boosting_type": "dart"}),
        (CLASS, {"linear_tree": True}),
        (CLASS > 0, {"objective": "cross_entropy"}),
    ],
)
def test_classifiers(tmp_path: Path, y: Any, options: dict[str, Any]) -> None:
    model = lgb.LGBMClassifier(**SMALL | options).fit(X, y)
    pack = hold(tmp_path, model, X[:4], X, model.predict, model.predict_proba)
    assert pack.manifest is not None
    assert pack.manifest.labels == tuple(map(str, model.classes_))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"objective": "binary", "y": CLASS > 0},
        {"objective": "multiclass", "num_class": 3, "y": CLASS},
        {"objective": "multiclassova", "num_class": 3, "y": CLASS},
        {"linear_tree": True, "objective": "multiclass", "num_class": 3, "y": CLASS},
    ],
    ids=str,
)
def test_boosters(tmp_path: Path, options: dict[str, Any]) -> None:
    model = booster(**options)
    hold(tmp_path, model, X[:4].astype("float32"), X.astype("float32"), model.predict)


def test_a_ranker(tmp_path: Path) -> None:
    model = lgb.LGBMRanker(**SMALL).fit(X, CLASS, group=[60] * 4)
    hold(tmp_path, model, X[:4], X, model.predict)


def test_it_stops_at_the_best_round(tmp_path: Path) -> None:
    stop: list[Any] = [lgb.early_stopping(2, verbose=False)]
    noise = NUMBER + np.random.default_rng(0).normal(size=len(X)) * 2
    data, held = lgb.Dataset(X[:160], noise[:160]), lgb.Dataset(X[160:], noise[160:])
    given = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 3}
    model = lgb.train(
        given, data, 200, valid_sets=[held], callbacks=stop, keep_training_booster=True
    )
    assert model.best_iteration < model.current_iteration()
    hold(tmp_path, model, X[:4], X, model.predict)


def test_a_feature_of_which_missing_means_this_and_that(tmp_path: Path) -> None:
    """Trained further with other options, a feature has nodes of both kinds."""
    first = booster(zero_as_missing=True)
    given = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 3}
    model = lgb.train(given, lgb.Dataset(FULL, NUMBER), 6, init_model=first)
    assert len(Description.of(model).views) == 3
    hold(tmp_path, model, X[:4], X, model.predict)


def test_what_is_tiny_is_zero(tmp_path: Path) -> None:
    made = np.random.default_rng(0)
    rows = made.choice([-1e-34, -1e-35, -1e-36, 0, 1e-36, 1e-35, 1.1e-35, 1e-34], (300, 3))
    model = regressor(np.sign(rows[:, 0]) + 2 * np.sign(rows[:, 1]), rows)
    hold(tmp_path, model, rows[:4], rows, model.predict)


@pytest.mark.parametrize("onehot", [1, 10])
def test_categories_of_a_frame(tmp_path: Path, onehot: int) -> None:
    frame, target = table(category=True), of_table(table(category=False))
    model = regressor(target, frame, **SETS, max_cat_to_onehot=onehot)
    hold(tmp_path, model, frame[:3], frame, model.predict)


def test_categories_of_an_array(tmp_path: Path) -> None:
    made = np.random.default_rng(0)
    rows = np.stack([made.integers(0, 70, 400), made.normal(size=400)], axis=1)
    model = lgb.LGBMRegressor(**SMALL, **SETS)
    model.fit(rows, rows[:, 0] % 5 + rows[:, 1], categorical_feature=[0])
    asked = np.concatenate((rows, [[-0.5, 0], [-3, 0], [2.7, 0], [1e12, 0], [np.nan, 0]]))
    hold(tmp_path, model, rows[:4], asked, model.predict)


def few_values(seed: int) -> tuple[Any, Any]:
    """A model of features with few values, and all rows of these: many classes are tied."""
    made = np.random.default_rng(seed)
    width = int(made.integers(2, 5))
    values = [0.0, 1.0] if seed % 2 else [-1.0, 0.0, 0.5, 1.0]
    rows = np.array(list(itertools.product(values, repeat=width)))
    x = rows[made.integers(len(rows), size=80 if seed % 3 else 30)]
    classes = int(made.integers(2, 5))
    y = made.integers(0, classes, len(x))
    y[:classes] = np.arange(classes)
    options = SMALL | {"n_estimators": int(made.integers(1, 30)), "min_child_samples": 1}
    objective = "multiclassova" if classes > 2 else "binary"
    return lgb.LGBMClassifier(**options, objective=objective).fit(x, y), rows


@pytest.mark.parametrize("seed", [0, 4, 5, 7])
def test_ties_are_told_as_lightgbm_tells_them(tmp_path: Path, seed: int) -> None:
    model, rows = few_values(seed)
    pack = hold(tmp_path, model, rows[:4], rows, model.predict, model.predict_proba)
    assert pack.manifest is not None
    assert "near ties" in [case.name for case in pack.manifest.parity.cases]


def test_ties_that_hang_on_the_last_bit_are_refused(tmp_path: Path) -> None:
    model, rows = few_values(3)
    with pytest.raises(ExportError, match="differ only in their last bits"):
        onnxpack.export(model, rows[:4], tmp_path / "pack")


def test_files(tmp_path: Path) -> None:
    model = booster(CLASS, objective="multiclass", num_class=3)
    model.save_model(tmp_path / "trees.txt")
    loaded = load_target(str(tmp_path / "trees.txt"))
    sample, notes = loaded.own_sample()
    assert (loaded.name, sample.shape) == ("trees", (2, 4))
    assert "random numbers" in notes[0]
    hold(tmp_path, loaded.model, sample, X, model.predict)


def test_files_that_do_not_do(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other, broken = (tmp_path / f"{n}.txt" for n in ("other", "broken"))
    other.write_text("just words")
    broken.write_text("tree\nversion=v4\n")
    for path, words in (
        (other, "does not begin with 'tree'"),
        (broken, "is not a LightGBM model"),
    ):
        with pytest.raises(TargetError, match=words):
            load_target(str(path))


def test_a_file_whose_sample_cannot_be_made_up(tmp_path: Path) -> None:
    frame, target = table(category=True), of_table(table(category=False))
    model = regressor(target, frame, **SETS)
    model.booster_.save_model(tmp_path / "frame.txt")
    loaded = load_target(str(tmp_path / "frame.txt"))
    with pytest.raises(TargetError, match="no sample can be generated"):
        loaded.own_sample()
    with pytest.raises(SampleError, match="1 columns of categories or of texts, expected 2"):
        onnxpack.export(loaded.model, frame.astype({"ward": int}), tmp_path / "pack")
    hold(tmp_path, loaded.model, frame[:3], frame, model.predict)


def test_refusals(tmp_path: Path) -> None:
    to = tmp_path / "pack"
    with pytest.raises(TargetError, match="LGBMRegressor is not fitted"):
        onnxpack.export(lgb.LGBMRegressor(), X[:2], to)
    with pytest.raises(SampleError, match="needs a sample of its rows"):
        onnxpack.export(booster(), None, to)

    with pytest.raises(ExportError, match="has pred_early_stop"):
        onnxpack.export(regressor(pred_early_stop=True), X[:2], to)

    model = lgb.LGBMClassifier(**SMALL, objective=own).fit(X, CLASS > 0)
    with pytest.raises(ExportError, match="custom function"):
        onnxpack.export(model, X[:2], to)
    with pytest.raises(ExportError, match="not built into LightGBM"):
        write_link(Graph(18), "score", "new", {})


def own(y: Any, p: Any) -> Any:
    """An objective."""
    return p - y, np.ones_like(y)


@pytest.mark.parametrize("inner", [False, True])
def test_an_objective_of_the_users(tmp_path: Path, inner: bool) -> None:
    model = regressor(objective=own)
    model = model.booster_ if inner else model
    pack = hold(tmp_path, model, X[:4], X, model.predict)
    assert "objective is a custom function" in pack.manifest.notes[0]


def test_columns_in_another_order_are_taken_by_place_with_a_note(tmp_path: Path) -> None:
    frame = pd.DataFrame(FULL, columns=["a b", "c", "d", "e"])
    model = lgb.LGBMRegressor(**SMALL).fit(frame, NUMBER)
    given = frame[["e", "d", "a b", "c"]]
    pack = hold(tmp_path, model, given[:5], given, model.predict)
    note = next(note for note in pack.manifest.notes if "a different order" in note)
    assert "input 'e' is its feature 'a_b'" in note
    assert "sample[['a b', 'c', 'd', 'e']]" in note


def test_categories_in_the_place_of_others_are_refused(tmp_path: Path) -> None:
    frame = table(category=True)
    model = lgb.LGBMRegressor(**SMALL).fit(frame, of_table(table(category=False)))
    with pytest.raises(
        SampleError, match=r"'ward' of the sample contains \d+, but its cat"
    ) as caught:
        onnxpack.export(model, frame[["a", "ward", "city", "old", "visits"]], tmp_path / "pack")
    assert "in the same order" in caught.value.remedy


@pytest.mark.parametrize("objective", ["regression_l1", "quantile", "mape", "fair", "huber"])
def test_roots_that_are_squared(tmp_path: Path, objective: str) -> None:
    model = lgb.LGBMRegressor(**SMALL, objective=objective, reg_sqrt=True).fit(X, NUMBER)
    hold(tmp_path, model, X[:5], X, model.predict)


@pytest.mark.parametrize("only", [0, 1])
def test_rows_that_are_all_of_one_class(tmp_path: Path, only: int) -> None:
    model = lgb.LGBMClassifier(**SMALL).fit(X, np.full(len(X), only))
    hold(tmp_path, model, X[:5], X, model.predict, model.predict_proba)
