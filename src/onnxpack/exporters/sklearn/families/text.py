"""Texts."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Answer, Family, private
from onnxpack.exporters.sklearn.families.scale import normalize
from onnxpack.exporters.sklearn.tensor import Tensor


class Weights(Family):
    """Counts weighted by how rare a term is."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """The weighted counts."""
        return weighted(model, n.floats(x))


def weighted(model: Any, counts: Tensor) -> Tensor:
    """As ``TfidfTransformer`` does."""
    if model.sublinear_tf:
        none = n.equal(counts, 0.0)
        counts = n.where(none, 0.0, n.log(n.where(none, 1.0, counts)) + 1.0)
    if hasattr(model, "idf_"):
        counts = (counts * np.asarray(model.idf_)).cast(counts.dtype)
    return counts if model.norm is None else normalize(counts, model.norm)


LETTERS = r"[\pL\pN_]"
"""What Python's ``\\w`` matches, as RE2 writes it."""
PATTERNS = {
    rf"{flag}{edge}{pattern}{edge}": written
    for flag in ("", "(?u)")
    for edge in ("", r"\b")
    for pattern, written in ((r"\w+", f"{LETTERS}+"), (r"\w\w+", f"{LETTERS}{{2,}}"))
}
"""The patterns of tokens that are read alike by Python and by RE2."""
UNLIKE = r"İ|Σ(?:[^\p{Lu}\p{Ll}\p{Lt}]|$)"
"""What Python makes lower case by more than one letter, or by what follows it."""
GUARD = "a text has İ, or Σ at the end of a word, which Python makes lower case otherwise"
LOCALE = "C.UTF-8"
PADDING = "\0"


class Counts(Family):
    """How often each term of the vocabulary stands in a text."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """One column a term."""
        return counted(model, x)


class WeightedCounts(Family):
    """Counts, weighted."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """One column a term."""
        return weighted(private(model, "_tfidf"), counted(model, x))


def counted(model: Any, x: Tensor) -> Tensor:
    """The counts of the terms, [batch, terms], in the model's dtype.

    Raises:
        ExportError: terms are found in a way that is not written.
    """
    _refuse_unwritten(model)
    graph = x.graph
    text = n.flat(x)
    zero = None
    if model.lowercase:
        zero = _nothing_unlike(text)
        text = graph.op(
            "StringNormalizer", text, dtype="str", case_change_action="LOWER", locale=LOCALE
        )
    tokens = _tokens(text, PATTERNS[model.token_pattern])
    found = _terms(model, tokens).cast(np.dtype(model.dtype).name)
    if model.binary:
        found = (found > 0).cast(found.dtype)
    return found if zero is None else found + zero.cast(found.dtype)


def _refuse_unwritten(model: Any) -> None:
    for name in ("tokenizer", "preprocessor", "strip_accents"):
        if getattr(model, name) is not None:
            raise ExportError(f"{name}={getattr(model, name)!r} is not written")
    if model.analyzer != "word" or model.input != "content":
        raise ExportError(f"analyzer={model.analyzer!r} is not written; 'word' is")
    if model.token_pattern not in PATTERNS:
        raise ExportError(
            f"token_pattern={model.token_pattern!r} is not written; these are: "
            f"{', '.join(PATTERNS)}"
        )
    if model.stop_words is not None and model.ngram_range[1] > 1:
        raise ExportError(
            "stop_words are left out before ngram_range joins words, which ONNX does not"
        )


def _tokens(text: Tensor, pattern: str) -> Tensor:
    """The words of each text, filled up to the number of the longest."""
    return text.graph.op(
        "Tokenizer",
        text,
        dtype="str",
        domain="com.microsoft",
        mark=0,
        mincharnum=1,
        pad_value=PADDING,
        tokenexp=pattern,
    )


def _nothing_unlike(text: Tensor) -> Tensor:
    """Zero; and a failure at run time where a text would not be made lower case alike."""
    graph = text.graph
    shape = graph.op("Shape", _tokens(text, UNLIKE), dtype="int64")
    count = n.gather(shape, 1)
    nothing = graph.constant(np.zeros(1, np.int64))
    return graph.op("Gather", nothing, count, dtype="int64", title=GUARD, axis=0)


def _terms(model: Any, tokens: Tensor) -> Tensor:
    low, high = model.ngram_range
    terms: dict[int, list[tuple[list[str], int]]] = {size: [] for size in range(1, high + 1)}
    for term, place in sorted(model.vocabulary_.items(), key=lambda item: item[1]):
        words = term.split(" ")
        if low <= len(words) <= high:
            terms[len(words)].append((words, int(place)))
    pool: list[str] = []
    starts, places = [], []
    for size in range(1, high + 1):
        starts.append(len(pool))
        for words, place in terms[size]:
            pool += words
            places.append(place)
    filled = n.concat([tokens, n.repeated(tokens, np.array([PADDING] * high, object))])
    found = tokens.graph.op(
        "TfIdfVectorizer",
        filled,
        dtype="float32",
        mode="TF",
        min_gram_length=low,
        max_gram_length=high,
        max_skip_count=0,
        ngram_counts=starts,
        ngram_indexes=places,
        pool_strings=pool,
    )
    missing = len(model.vocabulary_) - 1 - max(places)
    if missing:
        found = n.concat([found, n.repeated(found, np.zeros(missing, np.float32))])
    return found


class Refused(Family):
    """What a graph cannot hold.

    Args:
        reason: why, after the estimator's name.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def transform(self, model: Any, x: Tensor) -> Answer:
        """Refused."""
        raise ExportError(self.reason(model))

    def reason(self, model: Any) -> str:
        """Why, in a sentence without its end."""
        return f"{type(model).__name__} {self._reason}"


HASHING = Refused("hashes its terms with MurmurHash3, for which ONNX has no operator")
FAMILIES: dict[str, Family] = {
    "CountVectorizer": Counts(),
    "DictVectorizer": Refused("takes dictionaries, which are no tensors"),
    "FeatureHasher": HASHING,
    "HashingVectorizer": HASHING,
    "MultiLabelBinarizer": Refused("takes sets of labels, which are no tensors"),
    "PatchExtractor": Refused("takes pictures and gives more rows than it is given"),
    "TfidfTransformer": Weights(),
    "TfidfVectorizer": WeightedCounts(),
}
