from __future__ import annotations

from pathlib import Path
from typing import Any

import catboost as cb
import numpy as np
import pandas as pd
import pytest
from tests.exporters.trees.held import CLASS, FULL, NUMBER, POSITIVE, X, hold, of_table, table

import onnxpack
from onnxpack.errors import ExportError, SampleError, TargetError
from onnxpack.exporters.target.load import load_target

SMALL: dict[str, Any] = {
    "iterations": 8, "depth": 4, "verbose": 0, "allow_writing_files": False, "thread_count": 1,
}  # fmt: skip
ONE_HOT: dict[str, Any] = {"cat_features": ["city", "ward"], "one_hot_max_size": 50}
Y3 = np.stack([NUMBER, -NUMBER, POSITIVE], axis=1)


def regressor(y: Any = NUMBER, x: Any = X, **options: Any) -> Any:
    return cb.CatBoostRegressor(**SMALL | options).fit(x, y)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss_function": "MAE"},
        {"loss_function": "MultiQuantile:alpha=0.1,0.9"},
        {"loss_function": "Poisson", "y": POSITIVE},
        {"loss_function": "Tweedie:variance_power=1.5", "y": POSITIVE},
        {"loss_function": "LogLinQuantile", "y": POSITIVE},
        {"loss_function": "RMSEWithUncertainty"},
        {"loss_function": "MultiRMSE", "y": Y3},
        {"loss_function": "Cox", "y": POSITIVE},
        {"grow_policy": "Depthwise"},
        {"grow_policy": "Lossguide", "max_leaves": 9},
        {"grow_policy": "Lossguide", "loss_function": "MultiRMSE", "y": Y3},
        {"nan_mode": "Max"},
        {"nan_mode": "Min"},
    ],
    ids=lambda options: " ".join(f"{k}={v}" for k, v in options.items() if k != "y"),
)
def test_regressors(tmp_path: Path, options: dict[str, Any]) -> None:
    model = regressor(**options)
    hold(tmp_path, model, X[:4], X, model.predict)


def test_nan_where_training_had_none(tmp_path: Path) -> None:
    model = regressor(x=FULL, nan_mode="Forbidden")
    hold(tmp_path, model, FULL[:4].astype("float32"), X.astype("float32"), model.predict)


@pytest.mark.parametrize(
    ("y", "options"),
    [
        (CLASS > 0, {}),
        (np.where(CLASS > 0, "yes", "no"), {}),
        (CLASS * 1.0 > 0, {"loss_function": "CrossEntropy"}),
        (CLASS, {}),
        (np.array(["a", "b", "c"])[CLASS], {"loss_function": "MultiClassOneVsAll"}),
        (CLASS, {"grow_policy": "Lossguide"}),
        (np.stack([CLASS > 0, CLASS > 1], 1).astype(int), {"loss_function": "MultiLogloss"}),
    ],
)
def test_classifiers(tmp_path: Path, y: Any, options: dict[str, Any]) -> None:
    model = cb.CatBoostClassifier(**SMALL | options).fit(X, y)
    hold(tmp_path, model, X[:4], X, model.predict, model.predict_proba)


def test_another_threshold(tmp_path: Path) -> None:
    model = cb.CatBoostClassifier(**SMALL).fit(X, CLASS > 0)
    before = model.predict(X)
    model.set_probability_threshold(0.93)
    assert (model.predict(X) != before).any()
    hold(tmp_path, model, X[:4], X, model.predict, model.predict_proba)


def test_a_plain_model_and_a_ranker(tmp_path: Path) -> None:
    plain = cb.CatBoost(SMALL | {"loss_function": "Poisson"}).fit(X, POSITIVE)
    hold(tmp_path / "plain", plain, X[:4], X, plain.predict)
    ranker = cb.CatBoostRanker(**SMALL).fit(X, CLASS, group_id=np.arange(240) // 20)
    hold(tmp_path / "ranker", ranker, X[:4], X, ranker.predict)


@pytest.mark.parametrize("category", [False, True])
@pytest.mark.parametrize("policy", ["SymmetricTree", "Lossguide"])
def test_categories(tmp_path: Path, category: bool, policy: str) -> None:
    frame, target = table(category=category), of_table(table(category=False))
    model = regressor(target, frame, **ONE_HOT, grow_policy=policy)
    hold(tmp_path, model, frame, frame, model.predict)
    plain = table(category=False).assign(city="Nowhere", ward=99)
    rows = plain.astype({"city": "category", "ward": "category"}) if category else plain
    run = onnxpack.Model(tmp_path / "pack", provider="cpu").run
    given = {n: np.asarray(plain[n].to_numpy(), None if n != "city" else object)[:, None]
             for n in plain}  # fmt: skip
    np.testing.assert_allclose(run(given)["prediction"], model.predict(rows), rtol=1e-5)


def test_categories_that_the_sample_does_not_show(tmp_path: Path) -> None:
    frame, target = table(category=False), of_table(table(category=False))
    model = regressor(target, frame, **ONE_HOT)
    with pytest.raises(SampleError, match="'city' for 3 categories") as caught:
        onnxpack.export(model, frame.assign(city="Nowhere"), tmp_path / "pack")
    assert "whole frame" in caught.value.remedy
    with pytest.raises(SampleError, match="its sample must be a data frame"):
        onnxpack.export(model, X, tmp_path / "pack")
    with pytest.raises(SampleError, match="1 columns, expected 5"):
        onnxpack.export(model, frame[["a"]], tmp_path / "pack")


def test_statistics_of_categories_are_refused(tmp_path: Path) -> None:
    frame, target = table(category=False), of_table(table(category=False))
    model = regressor(target, frame, cat_features=["city", "ward"])
    with pytest.raises(ExportError, match=r"statistics of categories \(CTR\)") as caught:
        onnxpack.export(model, frame, tmp_path / "pack")
    assert "one_hot_max_size=255" in caught.value.remedy


@pytest.mark.parametrize("kind", ["text_features", "embedding_features"])
def test_texts_and_embeddings_are_refused(tmp_path: Path, kind: str) -> None:
    import pandas as pd

    made = np.random.default_rng(0)
    values = {"text_features": ["good day", "bad night"] * 120,
              "embedding_features": list(made.normal(size=(240, 5)))}[kind]  # fmt: skip
    frame = pd.DataFrame({"a": FULL[:, 0], "given": values})
    model = cb.CatBoostClassifier(**SMALL, **{kind: ["given"]}).fit(frame, CLASS > 0)
    with pytest.raises(ExportError, match="CatBoost cannot save this model as JSON") as caught:
        onnxpack.export(model, frame[:3], tmp_path / "pack")
    assert "to numbers before training" in caught.value.remedy


@pytest.mark.parametrize("classifies", [False, True])
def test_files(tmp_path: Path, classifies: bool) -> None:
    model = cb.CatBoostClassifier(**SMALL).fit(X, CLASS) if classifies else regressor()
    model.save_model(str(tmp_path / "trees.cbm"))
    loaded = load_target(str(tmp_path / "trees.cbm"))
    answers = [model.predict, model.predict_proba] if classifies else [model.predict]
    sample, notes = loaded.own_sample()
    assert "random numbers" in notes[0]
    hold(tmp_path, loaded.model, sample, X.astype("float32"), *answers)


def test_files_that_do_not_do(tmp_path: Path) -> None:
    (tmp_path / "other.cbm").write_text("just words")
    with pytest.raises(TargetError, match=r"other\.cbm is not a CatBoost model"):
        load_target(str(tmp_path / "other.cbm"))


def test_a_file_whose_sample_cannot_be_made_up(tmp_path: Path) -> None:
    frame, target = table(category=False), of_table(table(category=False))
    model = regressor(target, frame, **ONE_HOT)
    model.save_model(str(tmp_path / "frame.cbm"))
    loaded = load_target(str(tmp_path / "frame.cbm"))
    with pytest.raises(TargetError, match="no sample can be generated"):
        loaded.own_sample()
    hold(tmp_path, loaded.model, frame, frame, model.predict)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="CatBoostRegressor is not fitted"):
        onnxpack.export(cb.CatBoostRegressor(), X[:2], tmp_path / "pack")
    with pytest.raises(SampleError, match="needs a sample of its rows"):
        onnxpack.export(regressor(), None, tmp_path / "pack")


@pytest.mark.parametrize("kind", [bool, "category", object])
def test_bools_that_are_categories(tmp_path: Path, kind: Any) -> None:
    flags = pd.Series(FULL[:, 1] > 0).astype(bool).astype(kind)
    frame = pd.DataFrame({"flag": flags, "size": FULL[:, 0]})
    model = regressor(FULL[:, 1], frame, cat_features=["flag"], one_hot_max_size=9)
    pack = onnxpack.export(model, frame, tmp_path / "pack")
    feeds = {"flag": (FULL[:, [1]] > 0).astype("int64"), "size": FULL[:, [0]]}
    found = onnxpack.Model(pack, provider="cpu").run(feeds)["prediction"]
    np.testing.assert_allclose(found, model.predict(frame), 1e-9)


def test_an_array_of_objects_is_refused_with_a_cure_that_works(tmp_path: Path) -> None:
    rows = np.array([[str(at % 3), float(v)] for at, v in enumerate(FULL[:, 0])], object)
    model = regressor(x=rows, cat_features=[0], one_hot_max_size=9)
    with pytest.raises(SampleError) as caught:
        onnxpack.export(model, rows, tmp_path / "pack")
    assert str(caught.value.remedy) == "sample = pandas.DataFrame(sample).infer_objects()"
    onnxpack.export(model, pd.DataFrame(rows).infer_objects(), tmp_path / "pack")


@pytest.mark.parametrize("extra", [False, True])
def test_columns_in_another_order_are_found_by_name(tmp_path: Path, extra: bool) -> None:
    frame, target = table(category=False), of_table(table(category=False))
    model = regressor(target, frame, **ONE_HOT)
    given = frame[["visits", "ward", "city", "old", "a"]]
    given = given.assign(other=1.0) if extra else given
    np.testing.assert_array_equal(model.predict(given), model.predict(frame))
    pack = hold(tmp_path, model, given, given, model.predict)
    assert [spec.name for spec in pack.manifest.signature.inputs] == list(frame)
    assert any("in the order of training: a, city" in note for note in pack.manifest.notes)


def test_names_of_a_model_of_an_array_mean_nothing(tmp_path: Path) -> None:
    frame = pd.DataFrame(FULL, columns=["1", "0", "3", "2"])
    model = regressor(NUMBER, FULL)
    hold(tmp_path, model, frame[:5], frame, model.predict)


def test_an_order_that_catboost_refuses(tmp_path: Path) -> None:
    frame, target = table(category=False), of_table(table(category=False))
    model = regressor(target, frame, **ONE_HOT)
    given = frame[["city", "a", "ward", "old", "visits"]]
    with pytest.raises(SampleError, match="in a different order than in training") as caught:
        onnxpack.export(model, given, tmp_path / "pack")
    assert caught.value.remedy == f"sample = sample[{list(frame)}]"


def test_categories_that_int64_does_not_hold(tmp_path: Path) -> None:
    codes = np.array([0, 1, 2**63, 2**64 - 1], "uint64")[np.arange(240) % 4]
    frame = pd.DataFrame({"a": FULL[:, 0], "code": codes})
    options = {"cat_features": ["code"], "one_hot_max_size": 9}
    model = regressor(NUMBER + (codes > 5), frame, **options)
    with pytest.raises(SampleError, match="does not fit into int64") as caught:
        onnxpack.export(model, frame, tmp_path / "pack")
    exec(caught.value.remedy.partition(" before")[0], {"frame": frame})
    model = regressor(NUMBER + (codes > 5), frame, **options)
    hold(tmp_path, model, frame, frame, model.predict)


@pytest.mark.parametrize("loss", ["MultiClass", "MultiClassOneVsAll"])
@pytest.mark.parametrize(
    ("y", "options"),
    [
        (CLASS + 1, {"classes_count": 5}),
        (np.array(["b", "d", "e"])[CLASS], {"class_names": ["a", "b", "c", "d", "e"]}),
        ((CLASS > 0) + 1, {"classes_count": 3}),
    ],
)
def test_classes_that_training_lacked(tmp_path: Path, loss: str, y: Any, options: Any) -> None:
    model = cb.CatBoostClassifier(**SMALL, loss_function=loss, **options).fit(X, y)
    hold(tmp_path, model, X[:5], X, model.predict, model.predict_proba)
    plain = cb.CatBoost({**SMALL, "loss_function": loss, **options}).fit(X, y)
    raw = onnxpack.Model(onnxpack.export(plain, X[:5], tmp_path / "plain"))(X)
    np.testing.assert_allclose(raw, plain.predict(X), 1e-9)


def test_a_sum_of_models_is_refused(tmp_path: Path) -> None:
    """It holds no parameters, and CatBoost's own error came through."""
    summed = cb.sum_models([regressor(), regressor()], weights=[1.0, -2.0])
    with pytest.raises(ExportError, match="has no training parameters") as caught:
        onnxpack.export(summed, X, tmp_path / "pack")
    assert "each to its own pack" in caught.value.remedy
