"""Texts: words are found as Python finds them, or the vectorizer is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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
SPACED = [
    "", "a", " a", "a ", "\ta\n b", "a  b", "ab\u2003\u2003 ba", "\x85\x85", "é a_b 😀", " \n ",
]  # fmt: skip
CHARACTERS = {
    f"{analyzer}-{low}-{high}": CountVectorizer(
        analyzer=analyzer, ngram_range=(low, high), lowercase=False
    ).fit(SPACED)
    for analyzer in ("char", "char_wb")
    for low, high in ((1, 2), (2, 5), (4, 4))
}


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
        CountVectorizer(stop_words=["the", "cat", "it"], ngram_range=(1, 3)),
        TfidfVectorizer(stop_words="english", ngram_range=(2, 2)),
        CountVectorizer(stop_words=["the"], vocabulary=["the", "cat", "the cat"]),
        CountVectorizer(token_pattern=r"\b\w{3,}\b"),
        CountVectorizer(token_pattern=r"[a-z]+"),
        CountVectorizer(token_pattern=r"\S+", lowercase=False),
    ],
    ids=repr,
)
def test_words(check: Any, vectorizer: Any) -> None:
    pack = check.proven(vectorizer.fit(SPOKEN), SPOKEN[:10], ROWS)
    assert str(pack.manifest.signature.inputs[0]) == "str[batch]"


@pytest.mark.parametrize("analyzer", ["char", "char_wb"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ngram_range": (1, 3)},
        {"ngram_range": (2, 4), "lowercase": False},
        {"ngram_range": (3, 3), "binary": True},
        {"ngram_range": (4, 6)},
        {"vocabulary": [" ", "  ", "a b", " a", "a ", "b", "\n"], "ngram_range": (1, 3)},
    ],
    ids=repr,
)
def test_characters(check: Any, analyzer: str, options: Any) -> None:
    vectorizer = CountVectorizer(analyzer=analyzer, **options).fit(SPOKEN)
    check.proven(vectorizer, SPOKEN[:10], [*ROWS, *SPACED])
    check.proven(vectorizer, ["", ""], ["", "a b  c"], force=True)


@given(st.lists(st.text("ab \t\n\x1f\u2003é😀_", max_size=12), min_size=1, max_size=6))
def test_characters_of_any_text(of_characters: dict[str, onnxpack.Model], texts: list[str]) -> None:
    for name, vectorizer in CHARACTERS.items():
        found = of_characters[name].run({"X": np.array(texts, object)})["transformed"]
        np.testing.assert_array_equal(found, vectorizer.transform(texts).toarray(), err_msg=name)


@pytest.fixture(scope="module")
def of_characters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, onnxpack.Model]:
    folder = tmp_path_factory.mktemp("packs")
    return {
        name: onnxpack.Model(onnxpack.export(vectorizer, SPACED, folder / name))
        for name, vectorizer in CHARACTERS.items()
    }


def test_one_text_without_a_word(check: Any) -> None:
    check.proven(CountVectorizer().fit(SPOKEN), SPOKEN, [""])


def test_classes_of_texts(check: Any) -> None:
    y = [len(text) > 25 for text in SPOKEN]
    check.proven(make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(SPOKEN, y), SPOKEN)


@pytest.mark.parametrize("text", ["İstanbul", "ΣΊΣΥΦΟΣ", "ΣΊΣΥΦΟΣ, again"])
def test_what_cannot_be_made_lower_case_alike_fails_aloud(check: Any, text: str) -> None:
    pack = check.proven(CountVectorizer().fit(SPOKEN), SPOKEN)
    with pytest.raises(OnnxpackError, match="Python lowercases differently"):
        onnxpack.Model(pack).run({"X": np.array(["fine", text], object)})


@pytest.mark.parametrize(
    ("vectorizer", "word"),
    [
        (CountVectorizer(analyzer=str.split), "analyzer is Python code"),
        (CountVectorizer(token_pattern=r"\b[a-z]+\b"), "differently; supported are"),
        (CountVectorizer(strip_accents="unicode"), "strip_accents='unicode' changes texts"),
        (CountVectorizer(vocabulary=["two words"]), "no term of the vocabulary"),
        (HashingVectorizer(n_features=8, ngram_range=(1, 2)), "joins texts before they are hashed"),
    ],
    ids=["own analyzer", "pattern", "accents", "vocabulary", "hashes"],
)
def test_refused(check: Any, vectorizer: Any, word: str) -> None:
    error = check.refused(vectorizer.fit(SPOKEN), SPOKEN, word)
    assert error.remedy


@pytest.mark.parametrize("norm", ["l1", "l2", None])
def test_counts_in_float32(check: Any, norm: Any) -> None:
    check.proven(TfidfVectorizer(dtype=np.float32, norm=norm).fit(SPOKEN), SPOKEN, fine=1e-6)
