"""What a model refuses, its graph refuses: a category that it was not fitted with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

import onnxpack
from onnxpack.errors import FeedError

FRAME = pd.DataFrame({"city": ["a", "b", "c"] * 20, "size": ["x", "y"] * 30})
UNSEEN = {"city": np.array([["zz"], ["a"]], object), "size": np.array([["x"], ["y"]], object)}


def exported(encoder: Any, folder: Path) -> onnxpack.Model:
    model = make_pipeline(encoder, LogisticRegression()).fit(FRAME, np.arange(60) % 2)
    return onnxpack.Model(onnxpack.export(model, FRAME.head(7), folder / "pack"))


@pytest.mark.parametrize(
    "encoder",
    [OneHotEncoder(), OrdinalEncoder(), OneHotEncoder(min_frequency=5)],
    ids=["one-hot", "ordinal", "grouped"],
)
def test_an_unknown_category_is_refused_by_name(encoder: Any, tmp_path: Path) -> None:
    model = exported(encoder, tmp_path)
    with pytest.raises(FeedError, match="a category is unknown, which the model refuses"):
        model.run(UNSEEN)
    known = {name: column[1:] for name, column in UNSEEN.items()}
    assert model.run(known)["label"].shape == (1,)


def test_one_that_the_model_takes_is_answered(tmp_path: Path) -> None:
    model = exported(OneHotEncoder(handle_unknown="ignore"), tmp_path)
    assert model.run(UNSEEN)["label"].shape == (2,)
