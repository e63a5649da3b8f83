"""Files of scikit-learn's models: a pickle never runs unless it is trusted."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import onnxpack
from onnxpack.errors import TargetError
from onnxpack.exporters.target.load import load_target

X = np.random.default_rng(0).normal(size=(30, 3))


class Harm:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def model() -> Any:
    return make_pipeline(StandardScaler(), LinearRegression()).fit(X, X[:, 0])


def square(x: Any) -> Any:
    return x * x


@pytest.mark.parametrize("suffix", ["joblib", "pkl", "pickle"])
def test_a_pickle_runs_only_where_it_is_trusted(tmp_path: Path, suffix: str) -> None:
    path, touched = tmp_path / f"model.{suffix}", tmp_path / "touched"
    path.write_bytes(pickle.dumps(Harm(touched)))
    with pytest.raises(TargetError, match="can run any code") as caught:
        load_target(str(path))
    assert "--trust" in caught.value.remedy
    assert "skops" in caught.value.remedy
    assert not touched.exists()
    with pytest.raises(TargetError, match="contains a NoneType"):
        load_target(str(path), trust=True)
    assert touched.exists()


@pytest.mark.parametrize("suffix", ["joblib", "pkl"])
def test_a_trusted_pickle(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model.{suffix}"
    joblib.dump(model(), path)
    loaded = load_target(str(path), trust=True)
    assert loaded.name == "model"
    assert loaded.notes == ()
    onnxpack.export(loaded.model, X, tmp_path / "pack")


def test_skops(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    skops.io.dump(model(), path)
    loaded = load_target(str(path))
    np.testing.assert_array_equal(loaded.model.predict(X), model().predict(X))


def test_skops_with_what_it_does_not_know(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    skops.io.dump(make_pipeline(FunctionTransformer(square), LinearRegression()).fit(X, X), path)
    with pytest.raises(TargetError, match=r"types that skops does not trust.*square") as caught:
        load_target(str(path))
    assert "--trust" in caught.value.remedy
    assert load_target(str(path), trust=True).model.steps


def test_skops_with_a_tree(tmp_path: Path) -> None:
    """The nodes of a tree are read without a check: a hostile one reaches into memory."""
    path = tmp_path / "model.skops"
    skops.io.dump(DecisionTreeClassifier().fit(X, X[:, 0] > 0), path)
    with pytest.raises(TargetError, match=r"reach into memory: sklearn\.tree\._tree\.Tree\."):
        load_target(str(path))
    assert load_target(str(path), trust=True).model.tree_.node_count > 1


def test_skops_with_a_dtype(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    skops.io.dump(SimpleImputer().fit(X), path)
    assert load_target(str(path)).model.statistics_.shape == (3,)


@pytest.mark.parametrize("name", ["model.skops", "model.joblib"])
@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04broken"])
def test_what_is_no_model(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TargetError):
        load_target(str(path), trust=True)


def test_what_holds_no_estimator(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump({"weights": X}, path)
    with pytest.raises(TargetError, match=r"contains a dict, expected a fitted estimator"):
        load_target(str(path), trust=True)


def test_a_model_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.joblib"
    monkeypatch.setattr("sklearn.base.__version__", "1.2.3")
    joblib.dump(LinearRegression().fit(X, X), path)
    monkeypatch.undo()
    (note,) = load_target(str(path), trust=True).notes
    assert re.search(r"saved by scikit-learn 1\.2\.3 and is loaded by \d", note)
