"""Files of boosters on the command line: the user's table is the sample, or one is made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import catboost as cb
import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from tests.exporters.trees.held import feeds, of_table, table

import onnxpack
from onnxpack.cli.main import main

CITIES = {"Köln": "Koeln"}
"""XGBoost cuts names that are not ASCII, and then wants a frame with its own categories."""


def _xgboost(frame: Any, target: Any, path: Path) -> Callable[[Any], Any]:
    model = xgb.XGBRegressor(n_estimators=8, enable_categorical=True, n_jobs=1)
    model.fit(frame, target).save_model(path)
    return model.predict  # type: ignore[no-any-return]


def _lightgbm(frame: Any, target: Any, path: Path) -> Callable[[Any], Any]:
    model = lgb.LGBMRegressor(n_estimators=8, min_data_per_group=2, verbose=-1, n_jobs=1)
    model.fit(frame, target).booster_.save_model(path)
    return model.predict  # type: ignore[no-any-return]


def _catboost(frame: Any, target: Any, path: Path) -> Callable[[Any], Any]:
    model = cb.CatBoostRegressor(
        iterations=8, cat_features=["city"], one_hot_max_size=9, verbose=0,
        allow_writing_files=False, thread_count=1,
    )  # fmt: skip
    model.fit(frame, target).save_model(str(path))
    return model.predict  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "fit"),
    [("m.ubj", _xgboost), ("m.json", _xgboost), ("m.txt", _lightgbm), ("m.cbm", _catboost)],
)
def test_a_table_with_categories(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, fit: Any
) -> None:
    frame = table(category=False)
    target = of_table(frame)
    frame = frame.replace({"city": CITIES}).astype({"city": "category", "a": "float64"})
    predict = fit(frame, target, tmp_path / name)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    pack = tmp_path / "pack"

    assert main(["export", str(tmp_path / name), "-o", str(pack)]) == 2
    assert "no sample can be generated" in capsys.readouterr().err
    given = ["--sample", str(tmp_path / "rows.csv")]
    assert main(["export", str(tmp_path / name), *given, "-o", str(pack)]) == 0
    assert "random numbers" not in capsys.readouterr().err

    found = onnxpack.Model(pack).run(feeds(frame, list(frame.columns)))["prediction"]
    np.testing.assert_allclose(found, predict(frame), rtol=1e-4, atol=1e-5)


def test_texts_where_categories_were_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table(category=True).drop(columns="city")
    _xgboost(frame, frame["a"], tmp_path / "m.ubj")
    frame.assign(ward="seven").to_csv(tmp_path / "rows.csv", index=False)
    arguments = ["export", str(tmp_path / "m.ubj"), "--sample", str(tmp_path / "rows.csv")]
    assert main([*arguments, "-o", str(tmp_path / "pack")]) == 2
    assert "its categories in training were (3, 7, 20)" in capsys.readouterr().err
