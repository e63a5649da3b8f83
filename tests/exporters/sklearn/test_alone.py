"""A model that answers a row alone otherwise than among others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_selection import VarianceThreshold
from sklearn.pipeline import make_pipeline

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn.alone import refuse_uneven

X = np.random.default_rng(0).normal(size=(300, 4))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
WITH_CONSTANT = np.insert(X, 2, 3.7, axis=1)


def test_a_weight_that_is_enormous(check: Any) -> None:
    model = LinearDiscriminantAnalysis().fit(WITH_CONSTANT, Y)
    error = check.refused(model, WITH_CONSTANT[:50], "a row alone and to the same row among")
    assert "VarianceThreshold" in error.remedy


def test_the_remedy(check: Any) -> None:
    model = make_pipeline(VarianceThreshold(), LinearDiscriminantAnalysis())
    check.proven(model.fit(WITH_CONSTANT, Y), WITH_CONSTANT[:50], WITH_CONSTANT)


def test_what_depends_on_the_batch() -> None:
    def run(feeds: Any) -> Any:
        return {"y": feeds["X"][:, 0] - feeds["X"].mean()}

    with pytest.raises(ExportError, match="output 'y'"):
        refuse_uneven(run, {"X": X})


def test_a_model_that_refuses_a_row_alone_is_left_to_its_case() -> None:
    def run(feeds: Any) -> Any:
        if len(feeds["X"]) == 1:
            raise ValueError("Expected 2D array, got 1D array instead")
        return {"y": feeds["X"][:, 0] - feeds["X"].mean()}

    refuse_uneven(run, {"X": X})


def test_outputs_that_have_no_rows_are_left_to_others() -> None:
    refuse_uneven(lambda feeds: {"y": feeds["X"].sum(axis=0)}, {"X": X[:2]})
