"""Texts by their hashes."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline

TEXTS = [
    "the quick brown fox", "jumps over the lazy dog dog dog", "", "a", "naïve façade 日本 мир",
    "one two three four five six seven eight nine ten", "THE The the", "x y z", "fox dog",
] * 4  # fmt: skip
CLASS = np.arange(len(TEXTS)) % 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_features": 7},
        {"alternate_sign": False},
        {"binary": True, "n_features": 4},
        {"binary": True, "alternate_sign": False},
        {"norm": None, "n_features": 16},
        {"norm": "l1"},
        {"dtype": np.float32},
        {"stop_words": "english"},
        {"lowercase": False, "token_pattern": r"\w+"},
    ],
    ids=str,
)
def test_words(check: Any, options: Any) -> None:
    model = HashingVectorizer(**{"n_features": 64, **options})
    pack = check.proven(model, TEXTS[:9], TEXTS)
    assert "needs ONNX Runtime" in str(pack.manifest.notes)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(HashingVectorizer(n_features=128), LogisticRegression()),
        make_pipeline(
            HashingVectorizer(n_features=100, norm=None, alternate_sign=False),
            TfidfTransformer(),
            SGDClassifier(loss="log_loss", random_state=0),
        ),
    ],
    ids=["logistic", "weighted"],
)
def test_models_of_hashed_words(check: Any, model: Any) -> None:
    check.proven(model.fit(TEXTS, CLASS), TEXTS[:9], TEXTS)


@pytest.mark.parametrize("signed", [True, False])
def test_rows_of_texts(check: Any, signed: bool) -> None:
    rows = np.array([text.split()[:3] for text in TEXTS if len(text.split()) > 2], object)
    model = FeatureHasher(20, input_type="string", alternate_sign=signed)
    check.proven(model, rows[:5], rows)


def test_a_column_of_each_sign_and_of_every_number(check: Any) -> None:
    words = [f"word{number}" for number in range(400)]
    model = HashingVectorizer(n_features=13, norm=None)
    check.proven(model, words[:20], words)


@pytest.mark.parametrize(
    ("model", "word", "remedy"),
    [
        (HashingVectorizer(), "n_features=1048576", "n_features=2**14"),
        (HashingVectorizer(n_features=64, ngram_range=(1, 2)), "joins texts", "ngram_range=(1, 1)"),
        (HashingVectorizer(n_features=64, analyzer="char"), "joins texts", "analyzer='word'"),
        (HashingVectorizer(n_features=64, tokenizer=str.split), "tokenizer=", "before fit"),
    ],
    ids=["too many", "pairs", "characters", "own code"],
)
def test_what_is_not_written(check: Any, model: Any, word: str, remedy: str) -> None:
    assert remedy in check.refused(model, TEXTS[:9], word).remedy


def test_rows_that_are_too_wide_are_not_made(check: Any) -> None:
    """Nine cases of dense rows of 2**20 columns took more than 16 GiB before the refusal."""
    tracemalloc.start()
    try:
        check.refused(HashingVectorizer(), TEXTS[:9], "n_features=1048576")
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["dict", "pair"])
def test_hashes_of_dictionaries(check: Any, kind: str) -> None:
    rows = [{"a": 1.0}, {"b": 2.0}] if kind == "dict" else [[("a", 1.0)], [("b", 2.0)]]
    check.refused(FeatureHasher(8, input_type=kind), rows, "takes dictionaries or pairs")
