"""Texts: words are found as Python finds them, or the vectorizer is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import onnxpack
from onnxpack.errors import OnnxpackError
from onnxpack.exporters.sklearn.edges import TEXTS

SPOKEN = [
    "The cat sat on the mat, didn't it?",
    "A DOG chased the Cat: 3 times!",
    "naïve ÉTÉ café's menü 42nd x_y",
    "",
    "ΚΌΣΜΕ ПРИВЕТ 世界 emoji😀ok",
] * 6
ROWS = [*SPOKEN[::-1], *TEXTS, "words that nobody said"]


@pytest.mark.parametrize(
    "vectorizer",
    [
        CountVectorizer(),
        CountVectorizer(lowercase=False, binary=True),
        CountVectorizer(ngram_range=(1, 3), dtype=np.float32),
        CountVectorizer(ngram_range=(2, 2)),
        CountVectorizer(stop_words=["the", "cat"]),
        CountVectorizer(token_pattern=r"\w+"),
        CountVectorizer(vocabulary=["cat", "dog", "unused"]),
        TfidfVectorizer(),
        TfidfVectorizer(sublinear_tf=True, norm="l1", smooth_idf=False),
        TfidfVectorizer(use_idf=False, norm=None, max_features=4),
    ],
    ids=repr,
)
def test_words(check: Any, vectorizer: Any) -> None:
    pack = check.proven(vectorizer.fit(SPOKEN), SPOKEN[:10], ROWS)
    assert str(pack.manifest.signature.inputs[0]) == "str[batch]"


def test_one_text_without_a_word(check: Any) -> None:
    check.proven(CountVectorizer().fit(SPOKEN), SPOKEN, [""])


def test_classes_of_texts(check: Any) -> None:
    y = [len(text) > 25 for text in SPOKEN]
    check.proven(make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(SPOKEN, y), SPOKEN)


@pytest.mark.parametrize("text", ["İstanbul", "ΣΊΣΥΦΟΣ", "ΣΊΣΥΦΟΣ, again"])
def test_what_cannot_be_made_lower_case_alike_fails_aloud(check: Any, text: str) -> None:
    pack = check.proven(CountVectorizer().fit(SPOKEN), SPOKEN)
    with pytest.raises(OnnxpackError, match="Python makes lower case otherwise"):
        onnxpack.Model(pack).run({"X": np.array(["fine", text], object)})


@pytest.mark.parametrize(
    ("vectorizer", "word"),
    [
        (CountVectorizer(analyzer="char"), "analyzer='char' is not written"),
        (CountVectorizer(token_pattern=r"\b[a-z]+\b"), "token_pattern="),
        (CountVectorizer(strip_accents="unicode"), "strip_accents='unicode' is not written"),
        (CountVectorizer(stop_words=["cat"], ngram_range=(1, 2)), "stop_words are left out"),
        (HashingVectorizer(n_features=8), "hashes its terms"),
    ],
    ids=["characters", "pattern", "accents", "stop words", "hashes"],
)
def test_refused(check: Any, vectorizer: Any, word: str) -> None:
    check.refused(vectorizer.fit(SPOKEN), SPOKEN, word)
