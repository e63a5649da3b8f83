"""A data frame, or a mapping, stands for all inputs by name."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import onnxpack
from onnxpack.errors import FeedError
from onnxpack.runtime.frames import read_frame
from onnxpack.runtime.model import Model
from onnxpack.signature import Signature, TensorSpec

FRAME = pd.DataFrame(
    {"age": [30, 40, 50, 60], "city": ["Bern", "Genf", None, "Bern"], "pay": [1.5, 2.5, 3.5, 4.5]}
)
SIGNATURE = Signature(
    (
        TensorSpec("age", "int64", ("batch", 1)),
        TensorSpec("city", "str", ("batch", 1)),
        TensorSpec("pay", "float64", ("batch", 1)),
    ),
    (TensorSpec("y", "int64", ("batch",)),),
)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, Model]:
    columns = make_column_transformer(
        (StandardScaler(), ["age", "pay"]), (OneHotEncoder(handle_unknown="ignore"), ["city"])
    )
    model = make_pipeline(columns, LogisticRegression()).fit(FRAME, [0, 1, 0, 1])
    pack = onnxpack.export(model, FRAME, tmp_path_factory.mktemp("frame") / "pack")
    return model, Model(pack)


def test_the_frame_of_the_export_is_taken(fitted: tuple[object, Model]) -> None:
    model, pack = fitted
    found = pack(FRAME)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(FRAME), rtol=1e-5)
    np.testing.assert_array_equal(pack.run(FRAME)["label"], found["label"])


def test_columns_in_another_order_and_more_of_them(fitted: tuple[object, Model]) -> None:
    _, pack = fitted
    other = FRAME.assign(name="x")[["name", "pay", "city", "age"]]
    with pytest.warns(UserWarning, match="columns without an input are ignored: name") as told:
        found = pack(other)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(found["label"], pack(FRAME)["label"])


def test_a_mapping_stands_for_all_inputs(fitted: tuple[object, Model]) -> None:
    _, pack = fitted
    feed = read_frame(FRAME, pack.signature)
    np.testing.assert_array_equal(pack(feed)["label"], pack(**feed)["label"])


@pytest.mark.parametrize("orient", ["list", "series"])
def test_a_mapping_of_flat_columns(fitted: tuple[object, Model], orient: str) -> None:
    _, pack = fitted
    columns = FRAME.to_dict(orient)
    np.testing.assert_array_equal(pack(columns)["label"], pack(FRAME)["label"])
    arrays = {name: FRAME[name].to_numpy() for name in FRAME if name != "city"}
    found = pack({**arrays, "city": columns["city"]})
    np.testing.assert_array_equal(found["label"], pack(FRAME)["label"])


def test_a_missing_column_is_named() -> None:
    with pytest.raises(FeedError, match=r"columns age, pay; .* missing: city\."):
        read_frame(FRAME[["age", "pay"]], SIGNATURE)


def test_a_column_that_occurs_twice() -> None:
    with pytest.raises(FeedError, match="2 columns named 'pay'"):
        read_frame(pd.concat([FRAME, FRAME[["pay"]]], axis=1), SIGNATURE)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ({"age": [1, None, 2, 3]}, r"'age' holds missing values: float64\[4\], expected int64"),
        ({"age": [1.5, 2, 3, 4]}, r"'age' holds float64"),
        ({"age": [True, False, True, True]}, "'age' holds bool"),
        ({"pay": ["a", "b", "c", "d"]}, "'pay' holds"),
    ],
)
def test_a_column_that_does_not_fit(column: dict[str, list], says: str) -> None:
    with pytest.raises(FeedError, match=says):
        read_frame(FRAME.assign(**column), SIGNATURE)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        ({"pay": [1, 2, 3, 4]}, [1.0, 2.0, 3.0, 4.0]),
        ({"pay": pd.array([1, None, 3, 4], "Int64")}, [1.0, np.nan, 3.0, 4.0]),
        ({"pay": pd.array([1.5, None, 3, 4], "Float64")}, [1.5, np.nan, 3.0, 4.0]),
        ({"pay": np.array([1, 2, 3, 4], "float32")}, [1.0, 2.0, 3.0, 4.0]),
    ],
)
def test_what_keeps_its_values_is_converted(column: dict[str, object], wanted: list) -> None:
    found = read_frame(FRAME.assign(**column), SIGNATURE)["pay"]
    np.testing.assert_array_equal(found, np.array(wanted)[:, None])


def test_missing_texts_are_empty_as_at_export() -> None:
    assert read_frame(FRAME, SIGNATURE)["city"][2, 0] == ""


def test_a_pack_of_an_array_does_not_guess_columns(tmp_path: Path) -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    model = LogisticRegression().fit(x, [0, 1, 0, 1])
    pack = Model(onnxpack.export(model, x, tmp_path / "pack"))
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    with pytest.raises(FeedError) as caught:
        pack(frame)
    assert caught.value.remedy == "model(frame.to_numpy('float32'))"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        eval(caught.value.remedy, {"model": pack, "frame": frame})
