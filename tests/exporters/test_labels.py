"""Labels that a tensor holds, and labels that it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

import onnxpack
from onnxpack.errors import ExportError
from onnxpack.exporters.labels import refuse_labels

X = np.random.default_rng(0).normal(size=(60, 3))
HUGE = np.array([2**63 + 5, 2**63 + 6, 7], np.uint64)[np.arange(60) % 3]
DAYS = np.array(["2020-01-01", "2021-01-01"], "datetime64[ns]")[np.arange(60) % 2]
MODELS = [
    LogisticRegression(),
    DecisionTreeClassifier(max_depth=3),
    VotingClassifier([("l", LogisticRegression()), ("t", DecisionTreeClassifier(max_depth=3))]),
    LGBMClassifier(n_estimators=3, verbose=-1, min_child_samples=2),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_unsigned_labels_do_not_become_negative(tmp_path: Path, model: Any) -> None:
    pack = onnxpack.export(model.fit(X, HUGE), X[:20], tmp_path / "pack")
    found = onnxpack.Model(pack, provider="cpu").run({"X": X})["label"]
    assert found.dtype == np.uint64
    np.testing.assert_array_equal(found, model.predict(X))


def test_unsigned_numbers_that_pass_through(tmp_path: Path) -> None:
    rows = np.arange(30, dtype=np.uint64).reshape(10, 3)
    pack = onnxpack.export(FunctionTransformer().fit(rows), rows, tmp_path / "pack")
    large = rows + np.uint64(2**63)
    found = onnxpack.Model(pack, provider="cpu").run({"X": large})["transformed"]
    np.testing.assert_array_equal(found, large)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_dates_are_refused_with_a_cure_that_works(tmp_path: Path, model: Any) -> None:
    with pytest.raises(ExportError, match="labels are datetime64") as caught:
        onnxpack.export(model.fit(X, DAYS), X[:20], tmp_path / "pack")
    assert "y.astype(str)" in str(caught.value.remedy)
    model.fit(X, DAYS.astype(str))
    pack = onnxpack.export(model, X[:20], tmp_path / "pack")
    assert set(onnxpack.Model(pack, provider="cpu").run({"X": X})["label"]) <= set(model.classes_)


def test_several_outputs() -> None:
    model = MultiOutputClassifier(DecisionTreeClassifier()).fit(X, np.stack([DAYS, DAYS], axis=1))
    with pytest.raises(ExportError, match="labels are datetime64"):
        refuse_labels(model.classes_)
    refuse_labels([np.array([True, False]), np.array(["a", "b"], object), np.array([1.5, 2])])
