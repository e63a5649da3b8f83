"""Columns whose names are those of outputs, or of values inside of a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import onnxpack
from onnxpack.errors import SampleError
from onnxpack.exporters.value_names import free_name, input_names

random = np.random.default_rng(0)
TARGET = random.integers(0, 2, 120)
NUMBER = random.normal(size=120)


def frame_of(*names: Any) -> pd.DataFrame:
    return pd.DataFrame({name: random.normal(40, 9, 120) for name in names})


def held(model: Any, frame: pd.DataFrame, folder: Path) -> onnxpack.Model:
    """Export it, and hold its first output against ``predict`` on the whole frame."""
    made = onnxpack.Model(onnxpack.export(model, frame.head(30), folder / "pack"), provider="cpu")
    names = [spec.name for spec in made.signature.inputs]
    columns = [frame.iloc[:, at].to_numpy()[:, None] for at in range(len(names))]
    columns = [each.astype(object) if each.dtype.kind not in "biuf" else each for each in columns]
    found = made.run(dict(zip(names, columns, strict=True)))
    first = next(iter(found.values()))
    np.testing.assert_allclose(first, model.predict(frame), rtol=1e-5)
    return made


def outputs(model: onnxpack.Model) -> list[str]:
    return [spec.name for spec in model.signature.outputs]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (("label", "age"), ["label_output", "probabilities"]),
        (("probabilities", "label"), ["label_output", "probabilities_output"]),
        (("label", "label_output"), ["label_output_output", "probabilities"]),
        (("prediction", "scores"), ["label", "probabilities"]),
        (
            ("constant_1", "cast_2", "sub_3", "div_4", "Sub_5", "matmul_6"),
            ["label", "probabilities"],
        ),
    ],
    ids=lambda value: value[0],
)
def test_outputs_and_internal_names_give_way(tmp_path: Path, names: Any, wanted: Any) -> None:
    frame = frame_of(*names)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, TARGET)
    made = held(model, frame, tmp_path)
    assert [spec.name for spec in made.signature.inputs] == list(names)
    assert outputs(made) == wanted


def test_a_column_of_text_called_label(tmp_path: Path) -> None:
    frame = frame_of("age").assign(label=random.choice(["a", "b", "c"], 120))
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["label"]), remainder="passthrough"
    )
    model = make_pipeline(columns, RandomForestClassifier(5, random_state=0)).fit(frame, TARGET)
    assert outputs(held(model, frame, tmp_path)) == ["label_output", "probabilities"]


@pytest.mark.parametrize(
    "model",
    [
        lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1),
        xgboost.XGBClassifier(n_estimators=3, n_jobs=1),
        catboost.CatBoostClassifier(iterations=3, verbose=0, thread_count=1),
    ],
    ids=["lightgbm", "xgboost", "catboost"],
)
def test_boosters(tmp_path: Path, model: Any) -> None:
    frame = frame_of("label", "constant/1", "Cast/1", "probabilities")
    made = held(model.fit(frame, TARGET), frame, tmp_path)
    assert outputs(made) == ["label_output", "probabilities_output"]
    notes = str(onnxpack.open_pack(tmp_path / "pack").manifest.notes)
    assert "column is called 'label'" in notes


@pytest.mark.parametrize("names", [("", "b"), ("a", ""), ("column_1", "")], ids=str)
def test_a_column_without_a_name(tmp_path: Path, names: Any) -> None:
    frame = frame_of(*names)
    made = held(LinearRegression().fit(frame, NUMBER), frame, tmp_path)
    assert all(spec.name for spec in made.signature.inputs)


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    frame = frame_of("a", "b", "c").set_axis(["a", "b", "a"], axis=1)
    model = LinearRegression().fit(frame.to_numpy(), NUMBER)
    with pytest.raises(SampleError, match="two columns of the frame are called 'a'") as caught:
        onnxpack.export(model, frame, tmp_path / "pack")
    cure = caught.value.remedy.partition(": ")[2]
    exec(cure, {"frame": frame})
    held(LinearRegression().fit(frame, NUMBER), frame, tmp_path)


def test_names() -> None:
    assert free_name("label", {"age"}) == "label"
    assert free_name("label", {"label", "label_output"}) == "label_output_output"
    assert input_names([1, "", "column_1"])[0] == ["1", "column_1_output", "column_1"]
