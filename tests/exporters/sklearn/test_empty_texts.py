"""An empty text that is a category is not a missing one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder
from sklearn.tree import DecisionTreeClassifier

import onnxpack
from onnxpack.errors import SampleError

FRAME = pd.DataFrame(
    {
        "s": np.array(["", "a", "b", "a"] * 20, dtype=object),
        "t": np.array(["u", "v", "w", "w"] * 20, dtype=object),
    }
)
IS_EMPTY = (FRAME["s"] == "").astype(int)
ASKED = pd.DataFrame(
    {"s": np.array(["", "a", "b"], dtype=object), "t": np.array(["u", "", "w"], dtype=object)}
)


def encoder() -> OneHotEncoder:
    return OneHotEncoder(handle_unknown="ignore")


def imputed() -> Any:
    return make_pipeline(SimpleImputer(strategy="most_frequent"), encoder())


@pytest.mark.parametrize("rows", [FRAME.head(20), FRAME[FRAME["s"] != ""].head(20)])
@pytest.mark.parametrize(
    "before",
    [
        encoder(),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        make_column_transformer((encoder(), ["s"]), (imputed(), ["t"])),
    ],
    ids=["one-hot", "ordinal", "another column is imputed"],
)
def test_it_is_answered_as_a_category(before: Any, rows: Any, tmp_path: Any) -> None:
    model = make_pipeline(before, DecisionTreeClassifier(random_state=0)).fit(FRAME, IS_EMPTY)
    pack = onnxpack.export(model, rows, tmp_path / "pack")
    found = onnxpack.Model(pack)(ASKED)["label"]
    np.testing.assert_array_equal(found, model.predict(ASKED))


def test_one_that_is_imputed_too_is_refused(tmp_path: Any) -> None:
    model = make_pipeline(imputed(), DecisionTreeClassifier()).fit(FRAME, IS_EMPTY)
    with pytest.raises(SampleError, match="fitted with empty texts as a category") as refused:
        onnxpack.export(model, FRAME[FRAME["s"] != ""].head(20), tmp_path / "pack")
    frame = FRAME.copy()
    exec(refused.value.remedy.partition(": ")[2], {"frame": frame})
    model.fit(frame, IS_EMPTY)
    onnxpack.export(model, frame.head(20), tmp_path / "pack")
