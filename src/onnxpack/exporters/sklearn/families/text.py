"""Converters of text vectorizers, and estimators whose inputs are not tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Answer, Family, private
from onnxpack.exporters.sklearn.families.scale import normalize
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.exporters.sklearn.tokens import SPACE, characters, lowercase, words


class Weights(Family):
    """Converts ``TfidfTransformer``: weighs the counts of a term by its rarity."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the weighted counts, [batch, terms]."""
        return weighted(model, n.floats(x))


def weighted(model: Any, counts: Tensor) -> Tensor:
    """Return counts weighted and normalised by a ``TfidfTransformer``, [batch, terms]."""
    if model.sublinear_tf:
        none = n.equal(counts, 0.0)
        counts = n.where(none, 0.0, n.log(n.where(none, 1.0, counts)) + 1.0)
    if hasattr(model, "idf_"):
        counts = (counts * np.asarray(model.idf_)).cast(counts.dtype)
    return counts if model.norm is None else normalize(counts, model.norm)


class Counts(Family):
    """Converts ``CountVectorizer``: counts each term of the vocabulary in a text."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the counts, [batch, terms]."""
        return counted(model, x)


class WeightedCounts(Family):
    """Converts ``TfidfVectorizer``."""

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the weighted counts, [batch, terms]."""
        return weighted(private(model, "_tfidf"), counted(model, x))


def counted(model: Any, x: Tensor) -> Tensor:
    """Return the counts of the terms, [batch, terms], in the model's dtype.

    Raises:
        ExportError: the model finds terms in a way that is not supported.
    """
    refuse_unwritten(model)
    text = n.flat(x)
    zero = None
    if model.lowercase:
        text, zero = lowercase(text)
    found = _WAYS[model.analyzer](model, text).cast(np.dtype(model.dtype).name)
    if model.binary:
        found = (found > 0).cast(found.dtype)
    return found if zero is None else found + zero.cast(found.dtype)


def refuse_unwritten(model: Any) -> None:
    """Raise an error if a vectorizer finds terms in a way that no graph can hold.

    Raises:
        ExportError: the vectorizer calls the user's code, changes letters, or reads files.
    """
    for name in ("tokenizer", "preprocessor", "strip_accents"):
        given = getattr(model, name)
        if given is not None and (name != "tokenizer" or model.analyzer == "word"):
            raise ExportError(f"{name}={given!r} changes texts in a way that ONNX cannot do")
    if model.analyzer not in _WAYS:
        raise ExportError("analyzer is Python code, which a graph cannot hold")
    if model.input != "content":
        raise ExportError(f"input={model.input!r} reads files, which a graph cannot do")


Terms = Sequence[tuple[Sequence[str], int]]
"""Terms split into words or characters, each with its column."""


def _of_words(model: Any, text: Tensor) -> Tensor:
    low, high = model.ngram_range
    left_out = frozenset(model.get_stop_words() or ())
    split = ((term.split(SPACE), int(at)) for term, at in model.vocabulary_.items())
    terms = [(w, at) for w, at in split if low <= len(w) <= high and left_out.isdisjoint(w)]
    known = _parts(terms)
    # A stop word has no column. It is removed only for n-grams, which join the words around it.
    gone = sorted(left_out) if high > 1 else []
    numbers = words(text, model.token_pattern, known, gone)
    return _count(model, numbers, terms, known, beyond=len(known) + len(gone))


def _of_characters(model: Any, text: Tensor) -> Tensor:
    low, high = model.ngram_range
    terms = [(t, int(at)) for t, at in model.vocabulary_.items() if low <= len(t) <= high]
    known = _parts(terms, SPACE)
    numbers = characters(text, known, within_words=False)
    return _count(model, numbers, terms, known, beyond=len(known))


def _of_characters_in_words(model: Any, text: Tensor) -> Tensor:
    """Return the counts of n-grams within words, float32 [batch, vocabulary].

    scikit-learn puts a space before and after each word. Here one space between two words serves
    both of them.
    """
    low, high = model.ngram_range
    terms = [
        (term, int(at))
        for term, at in model.vocabulary_.items()
        if term.strip(SPACE)
        and SPACE not in term[1:-1]
        and (low <= len(term) <= high or (len(term) < low and _is_whole(term)))
    ]
    known = _parts(terms, SPACE)
    numbers = characters(text, known, within_words=True)
    found = _count(model, numbers, terms, known, beyond=len(known))
    if low > 1 or SPACE not in model.vocabulary_:
        return found
    shape = np.arange(len(model.vocabulary_)) == model.vocabulary_[SPACE]
    return found + n.as_column(_spaces(numbers, known.index(SPACE))) * shape.astype(np.float32)


def _is_whole(term: str) -> bool:
    """Return whether the term is a whole word between two spaces.

    scikit-learn counts such a term once even if it is shorter than the shortest n-gram.
    """
    return term[0] == term[-1] == SPACE


def _spaces(numbers: Tensor, space: int) -> Tensor:
    """Return how many spaces scikit-learn counts in a text, two for each word, float32 [batch]."""
    is_space = n.equal(numbers, space)
    graph = numbers.graph
    ends = [graph.constant(np.array([at], np.int64)) for at in (0, -1, 1, 2**62)]
    axis = graph.constant(np.array([1], np.int64))
    before = graph.op("Slice", is_space, ends[0], ends[1], axis, dtype="bool")
    after = graph.op("Slice", is_space, ends[2], ends[3], axis, dtype="bool")
    return n.total(before & ~after).cast("float32") * 2.0


_WAYS: Mapping[str, Callable[[Any, Tensor], Tensor]] = {
    "word": _of_words,
    "char": _of_characters,
    "char_wb": _of_characters_in_words,
}


def _parts(terms: Terms, *more: str) -> list[str]:
    """Return all words or characters that occur in terms, sorted.

    Raises:
        ExportError: the list of terms is empty.
    """
    if not terms:
        raise ExportError("no term of the vocabulary can occur in a text")
    return sorted({part for term, _ in terms for part in term}.union(more))


def _count(
    model: Any, numbers: Tensor, terms: Terms, known: Sequence[str], *, beyond: int
) -> Tensor:
    """Return the count of each term in a row of numbers, float32 [batch, vocabulary]."""
    number = {part: at for at, part in enumerate(known)}
    sizes = sorted({len(term) for term, _ in terms})
    starts: list[int] = []
    pool: list[int] = []
    places: list[int] = []
    for size in range(1, sizes[-1] + 1):
        starts.append(len(pool))
        for term, place in terms:
            if len(term) == size:
                pool += [number[part] for part in term]
                places.append(place)
    filled = n.concat([numbers, n.repeated(numbers, np.full(sizes[-1], beyond))])
    found = numbers.graph.op(
        "TfIdfVectorizer",
        filled,
        dtype="float32",
        mode="TF",
        min_gram_length=sizes[0],
        max_gram_length=sizes[-1],
        max_skip_count=0,
        ngram_counts=starts,
        ngram_indexes=places,
        pool_int64s=pool,
    )
    missing = len(model.vocabulary_) - 1 - max(places)
    if missing:
        found = n.concat([found, n.repeated(found, np.zeros(missing, np.float32))])
    return found


class Refused(Family):
    """Rejects estimators that no graph can hold.

    Args:
        reason: why, as a clause that follows the estimator's name.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def transform(self, model: Any, x: Tensor) -> Answer:
        """Raise an error with the reason that no graph can hold the estimator."""
        raise ExportError(self.unwritable(model))

    def unwritable(self, model: Any) -> str:
        """Return the reason, which holds for every estimator of this converter."""
        return f"{type(model).__name__} {self._reason}"


FAMILIES: dict[str, Family] = {
    "CountVectorizer": Counts(),
    "DictVectorizer": Refused("takes dictionaries, which are not tensors"),
    "MultiLabelBinarizer": Refused("takes sets of labels, which are not tensors"),
    "PatchExtractor": Refused("takes pictures and returns more rows than it is given"),
    "TfidfTransformer": Weights(),
    "TfidfVectorizer": WeightedCounts(),
}
