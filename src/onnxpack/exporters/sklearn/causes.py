"""Why an estimator could not be exported, and what users can do instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from onnxpack.exporters.sklearn.convert import parts
from onnxpack.exporters.sklearn.ufuncs import UFUNCS
from onnxpack.parity.subject import Attempt, Cause

CALLED = "call it before the pack, or use one of these numpy functions: " + ", ".join(
    f"np.{function.__name__}" for function in UFUNCS
)
REMEDIES: Mapping[str, str] = {
    r"joins texts before they are hashed": "use ngram_range=(1, 1) and analyzer='word' before fit",
    r"n_features=.* too large": "use n_features=2**14 before fit, or CountVectorizer, which "
    "keeps a vocabulary",
    r"are not tensors|more rows than it is given": "call its transform() before the pack, and "
    "export what comes after it",
    r"in steps until they converge": "export what comes after it, and call its transform() "
    "before; PCA and TruncatedSVD are a single product and can be exported",
    r"numpy's .* of u?int\d+ is not supported": "give floating-point numbers, before fit and in "
    "the sample: X.astype('float64')",
    r"the function .* is Python code|is not supported in a graph|numpy's .* does not take": CALLED,
    r"analyzer is Python code|changes texts in a way": "do this to the texts before fit and before "
    "the pack, and leave the option at its default",
    r"token_pattern=": "use one of these, before fit",
    r"no term of the vocabulary": "make ngram_range as wide as the vocabulary's terms, before fit",
    r"to a row alone": "leave out features that do not vary, and scale the others: "
    "make_pipeline(VarianceThreshold(), StandardScaler(), model).fit(X, y)",
    r"pooling_func is": "use pooling_func=np.mean, before fit",
    r"Matern with nu": "use one of these, such as Matern(nu=1.5), before fit",
    r"solves a system of equations": "export what comes after it, and call its transform() before",
    r"the metric .* is not supported": "use metric='euclidean', 'manhattan', 'chebyshev', "
    "'minkowski', 'cosine', 'canberra', 'braycurtis' or "
    "'hamming', before fit",
    r"custom function": "use one of scikit-learn's own, which are named by a string",
    r"others remain text": "encode every column of text, or drop it: remainder='drop'",
    r"onnxpack does not support this class": "use a scikit-learn estimator, or export what comes "
    "before and after it as separate packs",
    r"is not the library's own": "export the steps before and after it as separate packs, and "
    "call its own code between them",
    r"can store zeros in a sparse matrix": "make rows dense before fit: sparse_threshold=0 in a "
    "ColumnTransformer, or sparse_output=False",
    r"receives categories from a step before it": "encode the categories as numbers before fit, "
    "with an OrdinalEncoder",
    r"has no converter for": "export the steps before and after it as separate packs",
}
"""What users can do instead, by a pattern of the error message."""


def cause_of(error: str) -> Cause:
    """Return the error as a cause with its remedy; the remedy is empty if none is known."""
    for pattern, remedy in REMEDIES.items():
        if re.search(pattern, error):
            return Cause(error, remedy)
    return Cause(error, "")


def diagnose(model: Any, attempts: Sequence[Attempt]) -> Cause | None:
    """Return the likely cause of failed attempts: from their errors, or from ties in the model."""
    for attempt in attempts:
        cause = cause_of(attempt.error or "")
        if cause.remedy:
            return cause
    if _differs_in_ties(model, attempts):
        return TIES
    return None


TIES = Cause(
    "some rows are equally far from several training rows, and which of them scikit-learn picks "
    "depends on how it searches",
    "remove duplicate training rows, or use another estimator",
)


def _differs_in_ties(model: Any, attempts: Sequence[Attempt]) -> bool:
    usual = any(
        not case.passed and case.name.startswith(("sample", "batch=", "negated", "×"))
        for attempt in attempts
        for case in attempt.evidence
    )
    names = [type(each).__name__ for each in parts(model)]
    neighbours = any("Neighbors" in name or name == "KNNImputer" for name in names)
    return neighbours and usual
