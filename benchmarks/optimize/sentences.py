"""Real English sentences: prose that scikit-learn, NumPy and Python install."""

from __future__ import annotations

import email
import inspect
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from types import ModuleType

import numpy as np

WORDS = (6, 60)
"""The least and the most words of a sentence."""
END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
PROSE = re.compile(r"[A-Za-z][A-Za-z0-9 ,;:'()%./-]*[.!?]")
LETTERS = 0.75
"""The least share of letters and spaces: the rest are tables, formulas and code."""


def read_sentences(count: int, seed: int = 0) -> list[str]:
    """Return ``count`` different sentences, in a random order.

    Raises:
        RuntimeError: fewer are installed.
    """
    found = list(dict.fromkeys(_sentences()))
    if len(found) < count:
        raise RuntimeError(f"{len(found)} sentences are installed, expected at least {count}")
    order = np.random.default_rng(seed).permutation(len(found))
    return [found[at] for at in order[:count]]


def _sentences() -> Iterator[str]:
    for text in _texts():
        for paragraph in re.split(r"\n\s*\n", text):
            for sentence in END.split(" ".join(paragraph.split())):
                if _is_prose(sentence):
                    yield sentence


def _is_prose(sentence: str) -> bool:
    words = len(sentence.split())
    letters = sum(each.isalpha() or each == " " for each in sentence)
    return (
        WORDS[0] <= words <= WORDS[1]
        and letters >= LETTERS * len(sentence)
        and "--" not in sentence
        and PROSE.fullmatch(sentence) is not None
    )


def _texts() -> Iterator[str]:
    """Descriptions of data sets, and docstrings of public functions and classes."""
    for entry in sorted(files("sklearn.datasets.descr").iterdir(), key=lambda each: each.name):
        if entry.name.endswith(".rst"):
            yield entry.read_text(encoding="utf-8")
    import sklearn.cluster
    import sklearn.decomposition
    import sklearn.ensemble
    import sklearn.linear_model
    import sklearn.preprocessing

    modules: list[ModuleType] = [
        sklearn.cluster, sklearn.decomposition, sklearn.ensemble, sklearn.linear_model,
        sklearn.preprocessing, email, json, inspect, np,
    ]  # fmt: skip
    for module in modules:
        for name in sorted(vars(module)):
            thing = vars(module)[name]
            if not name.startswith("_") and callable(thing):
                yield inspect.getdoc(thing) or ""
