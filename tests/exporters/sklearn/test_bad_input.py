"""What people give by mistake: a right pack, or a refusal whose cure works when it is pasted."""

from __future__ import annotations

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import torch
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.tree import DecisionTreeClassifier

import onnxpack
from onnxpack.errors import OnnxpackError, SampleError, TargetError

ROWS = 80
random = np.random.default_rng(0)
AGE = random.normal(40, 9, ROWS)
TARGET = (AGE > 40).astype(int)
X = random.normal(size=(ROWS, 3))


def encoded(column: str, frame: pd.DataFrame, encoder: Any = None) -> Any:
    encoder = encoder or OneHotEncoder(handle_unknown="ignore")
    columns = make_column_transformer((encoder, [column]), remainder="passthrough")
    return make_pipeline(columns, LogisticRegression()).fit(frame, TARGET)


def refusal(model: Any, sample: Any, folder: Path) -> OnnxpackError:
    with pytest.raises(OnnxpackError) as caught:
        onnxpack.export(model, sample, folder / "pack", force=True)
    return caught.value


def cure(error: OnnxpackError, **names: Any) -> dict[str, Any]:
    """The names after the code of a remedy was run."""
    code = error.remedy.removeprefix("before fit and here: ").partition("; ")[0]
    exec(code, {"numpy": np, "torch": torch}, names)
    return names


def test_zip_codes_read_as_integers(tmp_path: Path) -> None:
    codes = random.integers(501, 99950, ROWS)
    texts = pd.DataFrame({"zip": [f"{code:05}" for code in codes], "age": AGE})
    numbers = texts.assign(zip=codes)
    for fitted, given in ((texts, numbers), (numbers, texts)):
        model = encoded("zip", fitted)
        error = refusal(model, given.head(20), tmp_path)
        assert "column 'zip' of the sample" in error.message
        frame = cure(error, frame=given.head(20).copy())["frame"]
        assert frame["zip"].tolist() == fitted["zip"].head(20).tolist()
        assert onnxpack.export(model, frame, tmp_path / "pack", force=True)


@pytest.mark.parametrize(
    "values",
    [
        pd.date_range("2020-01-01", periods=ROWS, freq="h"),
        pd.date_range("2020-01-01", periods=ROWS, freq="D", tz="Europe/Oslo"),
        pd.date_range("2020-01-01", periods=ROWS).where(np.arange(ROWS) % 9 > 0),
        pd.timedelta_range("1h", periods=ROWS, freq="min"),
        pd.period_range("2020-01", periods=ROWS, freq="M"),
        [decimal.Decimal(number) / 3 for number in range(ROWS)],
        [dt.date(2020, 1, 1 + number % 28) for number in range(ROWS)],
        ["a" if number % 2 else number for number in range(ROWS)],
    ],
    ids=["times", "zone", "gaps", "spans", "months", "decimals", "dates", "mixed"],
)
def test_columns_that_no_tensor_holds(tmp_path: Path, values: Any) -> None:
    frame = pd.DataFrame({"when": values, "age": AGE})
    error = refusal(encoded("when", frame, FunctionTransformer(len_of)), frame.head(20), tmp_path)
    assert "column 'when'" in error.message
    frame = cure(error, frame=frame)["frame"]
    assert onnxpack.export(encoded("when", frame), frame.head(20), tmp_path / "pack")


def len_of(rows: Any) -> Any:
    return np.zeros((len(rows), 1))


def test_empty_and_missing_texts(tmp_path: Path) -> None:
    frame = pd.DataFrame({"c": ["", "a", None, "b"] * 20, "age": AGE})
    error = refusal(encoded("c", frame), frame.head(20), tmp_path)
    frame = cure(error, frame=frame)["frame"]
    assert onnxpack.export(encoded("c", frame), frame.head(20), tmp_path / "pack")


TURKISH = ["İstanbul güzel", "IĞDIR'da sabah", "İzmir İÇİN bir şiir", "plain words"]
GREEK = ["ΟΔΟΣ ΑΒΓ", "ΛΟΓΟΣ, ΣΟΦΟΣ", "σοφος λογος", "plain words"]


@pytest.mark.parametrize("texts", [TURKISH, GREEK], ids=["Turkish", "Greek"])
@pytest.mark.parametrize(
    "vectorizer",
    [TfidfVectorizer(), CountVectorizer(analyzer="char"), CountVectorizer(analyzer="char_wb")],
    ids=["words", "characters", "within words"],
)
def test_letters_that_become_others(tmp_path: Path, texts: Any, vectorizer: Any) -> None:
    model = make_pipeline(vectorizer, LogisticRegression()).fit(texts * 5, np.arange(20) % 2)
    error = refusal(model, texts, tmp_path)
    assert "has İ, or Σ at the end of a word" in error.message
    sample = cure(error, sample=texts)["sample"]
    pack = onnxpack.export(model, sample, tmp_path / "pack")
    assert "text.lower()" in str(pack.manifest.notes)
    found = onnxpack.Model(pack, provider="cpu").run({"X": np.array(sample, object)})
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(texts), rtol=1e-4)


def test_letters_that_stay_as_they_are(tmp_path: Path) -> None:
    model = make_pipeline(CountVectorizer(lowercase=False), LogisticRegression())
    assert onnxpack.export(model.fit(GREEK * 5, np.arange(20) % 2), GREEK, tmp_path / "pack")


NESTED = [["a", 1.5], ["b", 2.0], ["a", 3], ["c", 4.5]] * 20


@pytest.mark.parametrize(
    "sample",
    [
        NESTED,
        np.array(NESTED, object),
        [[word, number, number > 2] for word, number in NESTED],
        [[None if word == "c" else word, int(number)] for word, number in NESTED],
    ],
    ids=["lists", "objects", "bools", "missing"],
)
def test_texts_beside_numbers(tmp_path: Path, sample: Any) -> None:
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), [0]), remainder=StandardScaler()
    )
    fitted = sample if isinstance(sample, np.ndarray) else np.array(sample, dtype=object)
    model = make_pipeline(columns, LogisticRegression()).fit(fitted, TARGET)
    pack = onnxpack.export(model, sample[:30], tmp_path / "pack")
    made = onnxpack.Model(pack, provider="cpu")
    feeds = {
        spec.name: np.array(
            ["" if row[at] is None else row[at] for row in fitted],
            object if spec.dtype == "str" else spec.dtype,
        )[:, None]
        for at, spec in enumerate(made.signature.inputs)
    }
    assert [spec.dtype for spec in made.signature.inputs][:1] == ["str"]
    np.testing.assert_allclose(
        made.run(feeds)["probabilities"], model.predict_proba(fitted), rtol=1e-6
    )


MODELS = [
    LinearRegression().fit(X, AGE),
    lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, n_jobs=1).fit(X, AGE),
    torch.nn.Linear(3, 1),
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_what_is_no_sample(tmp_path: Path, model: Any) -> None:
    rows = X.astype(np.float32)
    given = rows if model is not MODELS[2] else torch.from_numpy(rows)
    for sample, word in (
        ((20, 3), "is a shape"),
        ([given, given[:, 0]], "inputs together with their targets"),
        (torch.zeros(4, 3, device="meta"), "on the meta device"),
    ):
        error = refusal(model, sample, tmp_path)
        assert isinstance(error, SampleError)
        assert word in error.message
        made = cure(error, sample=sample)["sample"]
        assert onnxpack.export(model, made, tmp_path / "pack", force=True)


def test_inputs_of_different_batches_are_no_batch_with_targets(tmp_path: Path) -> None:
    class Both(torch.nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y.mean(0)

    error = refusal(Both(), (torch.ones(2, 3), torch.ones(4, 3)), tmp_path)
    assert "targets" not in error.message
    assert error.remedy.startswith('name it: dynamic={"y": {0: "other"}}')


def test_arguments_that_are_swapped(tmp_path: Path) -> None:
    for model in MODELS:
        for sample in (X, pd.DataFrame(X), torch.zeros(4, 3)):
            with pytest.raises(TargetError) as caught:
                onnxpack.export(sample, model, tmp_path / "pack")
            assert caught.value.remedy == (
                "the model comes first: onnxpack.export(sample, model, ...)"
            )


def test_doubles_for_a_model_in_single_precision(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU())
    error = refusal(model, X, tmp_path)
    sample = cure(error, sample=X)["sample"]
    assert onnxpack.export(model, sample, tmp_path / "pack")


def test_one_row(tmp_path: Path) -> None:
    error = refusal(MODELS[0], X[0], tmp_path)
    sample = cure(error, sample=X[0])["sample"]
    assert onnxpack.export(MODELS[0], sample, tmp_path / "pack")


LARGE = pd.DataFrame({"id": 123_456_789 + np.arange(ROWS) * 2, "age": AGE})


@pytest.mark.parametrize(
    "model",
    [
        encoded("id", LARGE),
        encoded("id", LARGE, OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
        encoded("id", LARGE, TargetEncoder()),
        encoded("id", LARGE, KBinsDiscretizer(9, quantile_method="averaged_inverted_cdf")),
        DecisionTreeClassifier(random_state=0).fit(LARGE, np.arange(ROWS) % 2),
        lightgbm.LGBMClassifier(
            n_estimators=3, min_child_samples=2, verbose=-1, n_jobs=1
        ).fit(LARGE, np.arange(ROWS) // 7 % 2),
        xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(LARGE, np.arange(ROWS) // 7 % 2),
        catboost.CatBoostClassifier(iterations=3, verbose=0, thread_count=1).fit(
            LARGE, np.arange(ROWS) // 7 % 2
        ),
    ],
    ids=["one-hot", "ordinal", "target", "bins", "tree", "lightgbm", "xgboost", "catboost"],
)  # fmt: skip
def test_whole_numbers_that_float32_confuses(tmp_path: Path, model: Any) -> None:
    pack = onnxpack.export(model, LARGE.head(30), tmp_path / "pack")
    near = pd.concat([LARGE.assign(id=LARGE["id"] + step) for step in (-1, 0, 1)])
    feeds = {name: near[name].to_numpy()[:, None] for name in near}
    found = onnxpack.Model(pack, provider="cpu").run(feeds)
    np.testing.assert_array_equal(found["label"], model.predict(near))
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(near), rtol=1e-5)
