"""Boosters that answer by code of the user's own: refused by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost

import onnxpack
from onnxpack.errors import ExportError

random = np.random.default_rng(0)
X = random.normal(size=(200, 3)).astype(np.float32)
NUMBER = X[:, 0] + X[:, 1]
CLASS = (X[:, 0] > 0).astype(int)
LIGHT: dict[str, Any] = {"n_estimators": 3, "verbose": -1, "n_jobs": 1}
XG: dict[str, Any] = {"n_estimators": 3, "max_depth": 2, "n_jobs": 1}
CAT: dict[str, Any] = {"iterations": 3, "verbose": 0, "thread_count": 1}


def stopped(rows: Any, answer: Any) -> Any:
    """A rule that hardly any row meets."""
    return np.where(np.asarray(rows)[:, 0] > 2.2, 0.0, answer)


class LightNumber(lightgbm.LGBMRegressor):
    def predict(self, X: Any, *args: Any, **options: Any) -> Any:
        return stopped(X, super().predict(X, *args, **options))


class LightShares(lightgbm.LGBMClassifier):
    def predict_proba(self, X: Any, *args: Any, **options: Any) -> Any:
        return super().predict_proba(X, *args, **options)[:, ::-1]


class LightBooster(lightgbm.Booster):
    def predict(self, data: Any, *args: Any, **options: Any) -> Any:
        return stopped(data, super().predict(data, *args, **options))


class XNumber(xgboost.XGBRegressor):
    def predict(self, X: Any, **options: Any) -> Any:
        return stopped(X, super().predict(X, **options))


class XShares(xgboost.XGBClassifier):
    def predict_proba(self, X: Any, **options: Any) -> Any:
        return super().predict_proba(X, **options).round(2)


class XBooster(xgboost.Booster):
    def predict(self, data: Any, *args: Any, **options: Any) -> Any:
        return super().predict(data, *args, **options) + 1


class XRounds(xgboost.XGBRegressor):
    """A private method that ``predict`` asks."""

    def _get_iteration_range(self, iteration_range: Any) -> Any:
        return (0, 1)


class CatNumber(catboost.CatBoostRegressor):
    def predict(self, data: Any, *args: Any, **options: Any) -> Any:
        return stopped(data, super().predict(data, *args, **options))


class CatClass(catboost.CatBoostClassifier):
    def predict(self, data: Any, *args: Any, **options: Any) -> Any:
        return 1 - super().predict(data, *args, **options)


def boosters() -> Iterator[Any]:
    plain = lightgbm.LGBMRegressor(**LIGHT).fit(X, NUMBER).booster_
    yield LightBooster(model_str=plain.model_to_string())
    data = xgboost.DMatrix(X, NUMBER)
    own = XBooster({"nthread": 1}, [data])
    own.load_model(bytearray(xgboost.train({"nthread": 1}, data, 2).save_raw()))
    yield own


def models() -> list[Any]:
    return [
        LightNumber(**LIGHT).fit(X, NUMBER),
        LightShares(**LIGHT).fit(X, CLASS),
        XNumber(**XG).fit(X, NUMBER),
        XShares(**XG).fit(X, CLASS),
        XRounds(**XG).fit(X, NUMBER),
        CatNumber(**CAT).fit(X, NUMBER),
        CatClass(**CAT).fit(X, CLASS),
        *boosters(),
    ]


def refused(model: Any, folder: Path) -> str:
    with pytest.raises(ExportError, match="is not the library's own") as caught:
        onnxpack.export(model, X[:40], folder / "pack")
    assert not (folder / "pack").exists()
    return str(caught.value)


def test_methods_of_subclasses(tmp_path: Path) -> None:
    for model in models():
        said = refused(model, tmp_path)
        assert f"class {type(model).__name__} defines it" in said


@pytest.mark.parametrize(
    "plain",
    [
        lightgbm.LGBMRegressor(**LIGHT),
        xgboost.XGBRegressor(**XG),
        catboost.CatBoostRegressor(**CAT),
    ],
    ids=["lightgbm", "xgboost", "catboost"],
)
def test_methods_of_instances(plain: Any, tmp_path: Path) -> None:
    model = plain.fit(X, NUMBER)
    own = model.predict
    model.predict = lambda rows, **options: stopped(rows, own(rows, **options))
    assert "this instance defines it" in refused(model, tmp_path)
    del model.predict
    assert onnxpack.export(model, X[:40], tmp_path / "pack")


def test_the_booster_within_an_estimator(tmp_path: Path) -> None:
    model = lightgbm.LGBMRegressor(**LIGHT).fit(X, NUMBER)
    model.booster_.predict = lambda rows, **options: np.zeros(len(rows))
    assert "Booster.predict" in refused(model, tmp_path)


def test_a_patched_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = xgboost.XGBRegressor.predict
    monkeypatch.setattr(
        xgboost.XGBModel, "predict", lambda self, rows, **o: stopped(rows, own(self, rows, **o))
    )
    assert "a patch of XGBRegressor" in refused(xgboost.XGBRegressor(**XG).fit(X, NUMBER), tmp_path)


class LightPlain(lightgbm.LGBMClassifier):
    """What it changes is how it trains."""

    def fit(self, X: Any, y: Any, **options: Any) -> Any:
        return super().fit(X, 1 - y, **options)


class XPlain(xgboost.XGBClassifier):
    """Nothing is changed."""


class CatPlain(catboost.CatBoost):
    """Nothing is changed: what it predicts is the sum of the trees, whatever the loss."""


def test_subclasses_that_compute_nothing_themselves(tmp_path: Path) -> None:
    counts = np.exp(NUMBER).round()
    for number, model in enumerate(
        [
            LightPlain(**LIGHT).fit(X, CLASS),
            XPlain(**XG).fit(X, CLASS),
            CatPlain({**CAT, "loss_function": "Poisson"}).fit(X, counts),
        ]
    ):
        pack = onnxpack.export(model, X[:40], tmp_path / str(number))
        found = onnxpack.Model(pack, provider="cpu").run({"X": X})
        with warnings.catch_warnings(action="ignore"):
            wanted = model.predict(X)
        first = next(iter(found.values()))
        np.testing.assert_allclose(first, wanted, rtol=1e-5)
