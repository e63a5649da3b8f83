"""Pipelines over texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import (
    ColumnTransformer,
)
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import (
    LogisticRegression,
    SGDClassifier,
)
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    StandardScaler,
)
from sklearn.svm import SVC
from sklearn_answers import Rows

ROWS = 600
LIKELY = {"random_state": 0}

SUBJECTS = (
    "the rocket reached orbit", "NASA's new telescope", "a planet with 2 moons",
    "the goalkeeper saved it", "they won 3-1 in overtime", "Coach said: 'no comment'",
    "installing the driver failed", "my GPU is slow today", "reboot the server, please",
)  # fmt: skip


def messages() -> tuple[Any, Any]:
    """Short English texts of three kinds."""
    random = np.random.default_rng(3)
    index = random.integers(0, len(SUBJECTS), ROWS)
    texts = [f"{SUBJECTS[i]} {SUBJECTS[random.integers(3) + i // 3 * 3]}" for i in index]
    return texts, np.array(["space", "sport", "computers"])[index // 3]


def on_texts() -> Rows:
    yield (
        "texts, TF-IDF and regression",
        lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()),
        messages,
    )
    yield (
        "texts, counts and Bayes",
        lambda: make_pipeline(CountVectorizer(binary=True, ngram_range=(1, 2)), MultinomialNB()),
        messages,
    )
    yield (
        "texts, no case folding",
        lambda: make_pipeline(
            TfidfVectorizer(lowercase=False, sublinear_tf=True, min_df=5), SGDClassifier(**LIKELY)
        ),
        messages,
    )
    yield (
        "texts, latent meaning",
        lambda: make_pipeline(
            TfidfVectorizer(stop_words="english"),
            TruncatedSVD(5, **LIKELY),
            StandardScaler(),
            SVC(),
        ),
        messages,
    )
    yield (
        "texts beside numbers",
        lambda: make_pipeline(
            ColumnTransformer(
                [("t", TfidfVectorizer(), "text"), ("n", StandardScaler(), ["length"])]
            ),
            LogisticRegression(),
        ),
        lambda: (
            pd.DataFrame({"text": messages()[0], "length": [float(len(t)) for t in messages()[0]]}),
            messages()[1],
        ),
    )
