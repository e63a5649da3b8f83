from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from tests.exporters.trees.held import CLASS, FULL, NUMBER, POSITIVE, X, hold, of_table, table

import onnxpack
from onnxpack.errors import ExportError, SampleError, TargetError
from onnxpack.exporters.target.load import load_target
from onnxpack.exporters.xgboost.links import link_of

SMALL: dict[str, Any] = {"n_estimators": 8, "max_depth": 4, "n_jobs": 1}
Y3 = np.stack([NUMBER, -NUMBER, POSITIVE], axis=1)
LABELS = np.stack([CLASS > 0, CLASS > 1, CLASS < 1], axis=1).astype(int)


def sized(options: dict[str, Any]) -> dict[str, Any]:
    """XGBoost warns of a depth that a linear booster has not."""
    linear = options.get("booster") == "gblinear"
    return {
        key: value for key, value in (SMALL | options).items() if not linear or key != "max_depth"
    }


def regressor(y: Any = NUMBER, x: Any = X, **options: Any) -> Any:
    return xgb.XGBRegressor(**sized(options)).fit(x, y)


def booster() -> Any:
    return xgb.train({"nthread": 1}, xgb.DMatrix(X, CLASS), 6)


def ask(model: Any) -> Any:
    return lambda rows: model.predict(xgb.DMatrix(rows))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"objective": "reg:absoluteerror"},
        {"objective": "reg:pseudohubererror"},
        {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.9]},
        {"objective": "count:poisson", "y": POSITIVE},
        {"objective": "reg:gamma", "y": POSITIVE},
        {"objective": "reg:tweedie", "y": POSITIVE},
        {"objective": "survival:cox", "y": POSITIVE},
        {"objective": "reg:logistic", "y": 1 / (1 + np.exp(-NUMBER))},
        {"base_score": 77.0},
        {"missing": 0.0},
        {"booster": "dart", "rate_drop": 0.5},
        {"booster": "gblinear"},
        {"num_parallel_tree": 3},
        {"y": Y3},
        {"y": Y3, "multi_strategy": "multi_output_tree"},
        {"gamma": 3.0},
    ],
    ids=lambda options: " ".join(f"{k}={v}" for k, v in options.items() if k != "y"),
)
def test_regressors(tmp_path: Path, options: dict[str, Any], dtype: str) -> None:
    model = regressor(**options)
    hold(tmp_path, model, X[:4].astype(dtype), X.astype(dtype), model.predict)


@pytest.mark.parametrize(
    ("y", "options"),
    [
        (CLASS > 0, {}),
        (CLASS > 0, {"objective": "binary:hinge"}),
        (CLASS > 0, {"objective": "binary:logitraw"}),
        (CLASS > 0, {"base_score": 0.2}),
        (CLASS, {}),
        (CLASS, {"objective": "multi:softmax"}),
        (CLASS, {"booster": "gblinear"}),
        (CLASS, {"multi_strategy": "multi_output_tree"}),
        (LABELS[:, :2], {}),
        (LABELS, {"multi_strategy": "multi_output_tree"}),
    ],
)
def test_classifiers(tmp_path: Path, y: Any, options: dict[str, Any]) -> None:
    model = xgb.XGBClassifier(**sized(options)).fit(X, y)
    hold(tmp_path, model, X[:4], X, model.predict, model.predict_proba)


@pytest.mark.parametrize("kind", [xgb.XGBRFClassifier, xgb.XGBRFRegressor])
def test_forests(tmp_path: Path, kind: Any) -> None:
    model = kind(**SMALL).fit(X, CLASS)
    answers = [model.predict] + ([model.predict_proba] if kind is xgb.XGBRFClassifier else [])
    hold(tmp_path, model, X[:4], X, *answers)


def test_it_stops_at_the_best_round_as_the_estimator_does(tmp_path: Path) -> None:
    model = xgb.XGBRegressor(n_estimators=200, early_stopping_rounds=2, n_jobs=1)
    model.fit(X[:160], NUMBER[:160], eval_set=[(X[160:], NUMBER[160:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    hold(tmp_path, model, X[:4], X, model.predict)
    hold(tmp_path / "raw", model.get_booster(), X[:4], X, ask(model.get_booster()))


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "binary:logistic", "scale_pos_weight": 3},
        {"objective": "multi:softmax", "num_class": 3},
        {"objective": "multi:softprob", "num_class": 3},
        {"objective": "rank:pairwise"},
        {"booster": "gblinear"},
    ],
)
def test_boosters(tmp_path: Path, options: dict[str, Any]) -> None:
    two = options.get("objective") == "binary:logistic"
    model = xgb.train({"nthread": 1, **options}, xgb.DMatrix(X, CLASS > 0 if two else CLASS), 5)
    hold(tmp_path, model, X[:4], X, ask(model))


@pytest.mark.parametrize(
    ("make", "refused"),
    [
        (lambda: regressor(booster="gblinear"), True),
        (booster, True),
        (regressor, False),
        (lambda: regressor(booster="dart"), False),
    ],
    ids=["gblinear", "DMatrix", "gbtree", "dart"],
)
def test_a_note_where_the_model_refuses_infinities(
    tmp_path: Path, make: Any, refused: bool
) -> None:
    pack = onnxpack.export(make(), FULL[:4], tmp_path / "pack")
    notes = [note for note in pack.manifest.notes if note.startswith("the model itself refuses")]
    assert [note.partition(" (")[0] for note in notes] == (
        ["the model itself refuses infinities"] if refused else []
    )
    assert all("Input data contains `inf`" in note for note in notes)


def test_names_and_a_frame(tmp_path: Path) -> None:
    frame = table(category=False)[["a", "visits", "old"]]
    model = regressor(of_table(table(category=False)), frame)
    pack = hold(tmp_path, model, frame[:3], frame, model.predict)
    inputs = [(s.name, s.dtype, s.shape) for s in onnxpack.Model(pack).signature.inputs]
    assert inputs == [
        ("a", "float32", ("batch", 1)),
        ("visits", "int64", ("batch", 1)),
        ("old", "bool", ("batch", 1)),
    ]
    with pytest.raises(SampleError, match="2 columns, expected 3 features"):
        onnxpack.export(model, frame[["a", "old"]], tmp_path / "other")


@pytest.mark.parametrize("onehot", [1, 10])
def test_categories(tmp_path: Path, onehot: int) -> None:
    """Names with an umlaut too, which XGBoost 3.2 keeps cut at the wrong place."""
    frame = table(category=True)
    options = {"enable_categorical": True, "max_cat_to_onehot": onehot}
    model = regressor(of_table(table(category=False)), frame, **options)
    pack = hold(tmp_path, model, frame[:3], frame, model.predict)
    run = onnxpack.Model(pack, provider="cpu").run
    rows = {s.name: frame[:1] for s in onnxpack.Model(pack).signature.inputs}
    one = {n: np.array([["Nowhere"]], object) if n == "city" else np.array([[7]])
           if n == "ward" else r[[n]].to_numpy() for n, r in rows.items()}  # fmt: skip
    missing = frame[:1].assign(city=frame["city"][:1].where([False]), ward=7)
    missing["ward"] = missing["ward"].astype(frame["ward"].dtype)
    np.testing.assert_allclose(run(one)["prediction"], model.predict(missing), rtol=1e-5)


def test_categories_cut_wrong_that_the_sample_does_not_show(tmp_path: Path) -> None:
    frame = table(category=True)
    model = regressor(of_table(table(category=False)), frame, enable_categorical=True)
    other = frame.assign(city=frame["city"].cat.rename_categories({"Köln": "Kiel"}))
    with pytest.raises(SampleError, match="'city' split at wrong places"):
        onnxpack.export(model, other[:4], tmp_path / "pack")


def test_numbers_that_are_categories(tmp_path: Path) -> None:
    made = np.random.default_rng(0)
    rows = np.stack([made.integers(0, 9, 200), made.normal(size=200)], axis=1).astype("float32")
    target = rows[:, 0] % 3 + rows[:, 1]
    data = xgb.DMatrix(rows, target, feature_types=["c", "q"], enable_categorical=True)
    model = xgb.train({"max_cat_to_onehot": 1, "nthread": 1}, data, 5)
    asked = np.array([[-0.5, 0], [-3, 0], [8, 1], [9, 1], [77, 0], [2.7, 0]], "float32")

    def answer(given: Any) -> Any:
        kinds = {"feature_types": ["c", "q"], "enable_categorical": True}
        return model.predict(xgb.DMatrix(given, **kinds))

    hold(tmp_path, model, rows[:4], rows, answer)
    run = onnxpack.Model(tmp_path / "pack", provider="cpu").run
    np.testing.assert_allclose(run({"X": asked})["prediction"], answer(asked), rtol=1e-5)


@pytest.mark.parametrize("suffix", ["json", "ubj"])
def test_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"trees.{suffix}"
    model = booster()
    model.save_model(path)
    loaded = load_target(str(path))
    assert loaded.name == "trees"
    sample, notes = loaded.own_sample()
    assert "random numbers" in notes[0]
    hold(tmp_path, loaded.model, sample, X.astype("float32"), ask(model))


def test_an_objective_of_the_users(tmp_path: Path) -> None:
    model = regressor(objective=lambda y, p: (p - y, np.ones_like(y)))
    pack = hold(tmp_path, model, X[:4], X, model.predict)
    assert "objective is a custom function" in pack.manifest.notes[0]


def test_a_file_that_is_another_thing(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"a": 1}))
    with pytest.raises(TargetError, match=r"other\.json is not an XGBoost model"):
        load_target(str(path))


def test_a_file_whose_sample_cannot_be_made_up(tmp_path: Path) -> None:
    frame = table(category=True)
    model = regressor(of_table(table(category=False)), frame, enable_categorical=True)
    model.save_model(tmp_path / "frame.ubj")
    loaded = load_target(str(tmp_path / "frame.ubj"))
    with pytest.raises(TargetError, match="no sample can be generated"):
        loaded.own_sample()
    hold(tmp_path, loaded.model, frame[:3], frame, model.predict)


def test_refusals(tmp_path: Path) -> None:
    to = tmp_path / "pack"
    with pytest.raises(TargetError, match="XGBRegressor is not fitted"):
        onnxpack.export(xgb.XGBRegressor(), X[:2], to)
    with pytest.raises(SampleError, match="needs a sample of its rows"):
        onnxpack.export(booster(), None, to)
    own = xgb.XGBClassifier(objective=lambda y, p: (p - y, np.ones_like(y)), **SMALL)
    with pytest.raises(ExportError, match="custom function"):
        onnxpack.export(own.fit(FULL, CLASS > 0), X[:2], to)
    with pytest.raises(ExportError, match="'reg:new' is not supported"):
        link_of("reg:new")


def test_a_booster_that_xgboost_does_not_save(tmp_path: Path) -> None:
    booster = xgb.train({"base_score": 1e6}, xgb.DMatrix(X, NUMBER), 2)
    booster.set_param({"objective": "reg:logistic"})
    with pytest.raises(ExportError, match=r"does not save this booster: .*base_score") as caught:
        onnxpack.export(booster, X[:5], tmp_path / "pack")
    assert "Stack trace" not in str(caught.value)


def test_lists_of_integers_are_refused_with_a_cure_that_works(tmp_path: Path) -> None:
    rows = (FULL * 5).astype(int)
    model = xgb.XGBRegressor(n_estimators=2, n_jobs=1).fit(rows, NUMBER)
    with pytest.raises(SampleError) as caught:
        onnxpack.export(model, rows[:4].tolist(), tmp_path / "pack")
    assert caught.value.remedy == "numpy.asarray(sample, 'float32')"
    onnxpack.export(model, np.asarray(rows[:4].tolist(), "float32"), tmp_path / "pack")


def test_columns_in_another_order_are_refused_with_a_cure_that_works(tmp_path: Path) -> None:
    sample = pd.DataFrame(FULL, columns=["a", "b", "c", "d"])
    model = regressor(NUMBER, sample)
    with pytest.raises(SampleError, match="feature_names mismatch") as caught:
        onnxpack.export(model, sample[["d", "b", "c", "a"]], tmp_path / "pack")
    assert caught.value.remedy == "sample = sample[['a', 'b', 'c', 'd']]"
    hold(tmp_path, model, sample[["a", "b", "c", "d"]][:4], sample, model.predict)


@pytest.mark.parametrize("missing", [0, 1.0, -999.0, 0.5])
def test_a_category_that_is_missing_is_refused(tmp_path: Path, missing: float) -> None:
    """XGBoost (3.2) compares the frame's own numbers of its categories with what is missing."""
    frame = table(category=True)
    options = {"enable_categorical": True, "missing": missing}
    model = regressor(of_table(table(category=False)), frame, **options)
    if missing in (0, 1):
        with pytest.raises(ExportError, match="which category XGBoost treats as missing") as caught:
            onnxpack.export(model, frame[:3], tmp_path / "pack")
        assert "missing=numpy.nan" in caught.value.remedy
    else:
        hold(tmp_path, model, frame[:3], frame, model.predict)
