"""Data frames: one input a column, in the column's own dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)

import onnxpack
from onnxpack.errors import SampleError
from onnxpack.exporters.sklearn.table import read_rows

ROWS = 90
WORDS, NUMBERS = ["city", "plan"], ["age", "income"]


def people() -> pd.DataFrame:
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": random.integers(18, 90, ROWS),
            "income": random.lognormal(10, 1, ROWS),
            "member": random.random(ROWS) < 0.4,
            "city": random.choice(["Oslo", "Łódź", "東京"], ROWS),
            "plan": random.choice(["free", "pro"], ROWS),
        }
    )


def holes() -> pd.DataFrame:
    frame, random = people(), np.random.default_rng(1)
    frame["income"] = frame["income"].mask(random.random(ROWS) < 0.2)
    frame["city"] = frame["city"].mask(random.random(ROWS) < 0.2)
    frame["age"] = frame["age"].astype("Int64").mask(random.random(ROWS) < 0.2)
    return frame


Y = np.where(np.arange(ROWS) % 3, "stays", "leaves")


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(drop="if_binary", sparse_output=False),
        OneHotEncoder(min_frequency=0.34, handle_unknown="infrequent_if_exist"),
        OneHotEncoder(max_categories=2, handle_unknown="ignore", drop="first"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, dtype="float32"),
        OrdinalEncoder(min_frequency=0.34, handle_unknown="use_encoded_value", unknown_value=9),
        TargetEncoder(random_state=0, cv=3),
    ],
    ids=repr,
)
def test_encoders(check: Any, encoder: Any) -> None:
    frame = people()
    rows = frame[WORDS].copy()
    model = encoder.fit(rows, Y)
    pack = check.proven(model, rows.head(30), rows)
    assert [str(spec) for spec in pack.manifest.signature.inputs] == ["str[batch, 1]"] * 2


def test_a_mixed_frame(check: Any) -> None:
    frame = people()
    model = make_pipeline(
        ColumnTransformer(
            [
                ("n", StandardScaler(), NUMBERS),
                ("w", OneHotEncoder(handle_unknown="ignore"), WORDS),
            ],
            remainder="passthrough",
        ),
        LogisticRegression(),
    ).fit(frame, Y)
    pack = check.proven(model, frame.head(20), frame)
    signature = pack.manifest.signature
    assert [f"{spec.name}: {spec}" for spec in signature.inputs] == [
        "age: int64[batch, 1]",
        "income: float64[batch, 1]",
        "member: bool[batch, 1]",
        "city: str[batch, 1]",
        "plan: str[batch, 1]",
    ]
    assert [f"{spec.name}: {spec}" for spec in signature.outputs] == [
        "label: str[batch]",
        "probabilities: float64[batch, 2]",
    ]
    assert pack.manifest.labels == ("leaves", "stays")


@pytest.mark.parametrize(
    "columns",
    [
        slice("age", "income"),
        slice(0, 2),
        [0, -4],
        [True, True, False, False, False],
        make_column_selector(pattern="age|income"),
    ],
)
def test_ways_to_name_columns(check: Any, columns: Any) -> None:
    frame = people()
    model = make_column_transformer((MinMaxScaler(), columns), remainder="drop").fit(frame)
    check.proven(model, frame.head(20), frame)


def test_unions_and_searches(check: Any) -> None:
    frame = people()[NUMBERS]
    union = FeatureUnion(
        [("s", StandardScaler()), ("l", FunctionTransformer(np.log1p))],
        transformer_weights={"s": 2.0},
    )
    search = GridSearchCV(
        make_pipeline(union, LogisticRegression()), {"logisticregression__C": [0.1, 1]}, cv=2
    )
    check.proven(search.fit(frame, Y), frame.head(20), frame)


def test_missing_values(check: Any) -> None:
    frame = holes()
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    model = make_pipeline(
        ColumnTransformer([("n", SimpleImputer(add_indicator=True), NUMBERS), ("w", words, WORDS)]),
        RandomForestClassifier(5, random_state=0),
    ).fit(frame, Y)
    said: list[str] = []
    pack = check.proven(model, frame.head(30), frame, progress=said.append)
    assert "float64[batch, 1]" in str(pack.manifest.signature.inputs[0])
    assert any("column 'city' has missing texts: an empty text stands for them" in s for s in said)
    assert any("column 'age' has missing values" in s for s in said)


def test_categories_by_dtype(check: Any) -> None:
    frame = people().astype({"city": "category", "plan": "category"})
    model = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype")
    model.fit(frame, Y)
    plain = frame.astype({"city": object, "plan": object})
    pack = onnxpack.export(model, frame.head(20), check.folder / "pack")
    feeds = {name: plain[name].to_numpy()[:, None] for name in plain.columns}
    found = onnxpack.Model(pack).run(feeds)
    np.testing.assert_array_equal(found["label"], model.predict(frame))


def test_columns_that_the_model_does_not_know(check: Any) -> None:
    frame = people()
    model = StandardScaler().fit(frame[NUMBERS])
    said: list[str] = []
    pack = onnxpack.export(
        model,
        frame.assign(target=1)[["target", "income", "age"]],
        check.folder / "pack",
        progress=said.append,
    )
    assert [spec.name for spec in pack.manifest.signature.inputs] == NUMBERS
    assert any("left out: ['target']" in line for line in said)


def test_a_column_that_is_missing(check: Any) -> None:
    frame = people()
    model = StandardScaler().fit(frame[NUMBERS])
    error = check.refused(model, frame[["age", "member"]], "no column 'income'")
    assert "found: age, member; expected: age, income" in error.message


@pytest.mark.parametrize(
    ("column", "word"),
    [
        (pd.date_range("2026-01-01", periods=ROWS), "holds Timestamp"),
        ([{"a": 1}] * ROWS, "holds dict"),
        (["a", 1] * (ROWS // 2), "holds int and str"),
        (["", None] * (ROWS // 2), "missing texts and empty ones"),
    ],
)
def test_columns_that_are_no_tensors(column: Any, word: str) -> None:
    frame = pd.DataFrame({"x": column})
    with pytest.raises(SampleError, match=word) as caught:
        read_rows(StandardScaler(), frame)
    assert "frame['x']" in caught.value.remedy


@pytest.mark.parametrize(
    "sample", ["text", (1, 2), np.zeros((2, 2, 2)), np.zeros((0, 3)), np.zeros(3, "M8[s]"), {}]
)
def test_what_is_no_sample(sample: Any) -> None:
    with pytest.raises(SampleError):
        read_rows(StandardScaler(), sample)


def test_a_mapping_of_columns(check: Any) -> None:
    frame = people()[NUMBERS]
    model = StandardScaler().fit(frame)
    pack = onnxpack.export(
        model, {name: frame[name].to_numpy() for name in NUMBERS}, check.folder / "pack"
    )
    assert [spec.name for spec in pack.manifest.signature.inputs] == NUMBERS


@pytest.mark.parametrize("gap", [None, np.nan], ids=["none", "nan"])
def test_a_gap_that_training_had_and_the_sample_lacks_is_noted(check: Any, gap: Any) -> None:
    frame = people()[WORDS].astype(object)
    frame.loc[::7, "city"] = gap
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    model.fit(frame, Y)
    note = "the model was fitted with missing texts: an empty text stands for them"
    whole = frame[frame["city"].notna()]
    assert note in check.proven(model, whole, frame).manifest.notes
    whole_model = model.fit(whole, Y[frame["city"].notna()])
    assert note not in check.proven(whole_model, whole, force=True).manifest.notes


@pytest.mark.parametrize("rest", ["drop", "passthrough"])
def test_columns_that_the_first_step_drops_are_no_inputs(check: Any, rest: str) -> None:
    frame = people().assign(when=pd.Timestamp("2024-01-01"), number=np.arange(ROWS))
    parts = [("words", OneHotEncoder(), WORDS), ("scaled", StandardScaler(), NUMBERS)]
    parts += [("gone", "drop", ["when", "number"])] * (rest == "passthrough")
    model = make_pipeline(ColumnTransformer(parts, remainder=rest), LogisticRegression())
    model.fit(frame, Y)
    read = [*NUMBERS, *["member"] * (rest == "passthrough"), *WORDS]
    for sample in (frame.head(20), frame[read].head(20)):
        pack = check.proven(model, sample, frame[read], force=True)
        assert [spec.name for spec in pack.manifest.signature.inputs] == read
    with pytest.raises(SampleError, match="has no column 'age'") as caught:
        onnxpack.export(model, frame[read[1:]].head(20), check.folder / "other")
    assert "when" not in str(caught.value)
