"""Converters of hashing vectorizers, by ONNX Runtime's operator ``MurmurHash3``."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.convert import Family
from onnxpack.exporters.sklearn.families.scale import normalize
from onnxpack.exporters.sklearn.families.text import refuse_unwritten
from onnxpack.exporters.sklearn.tensor import Tensor
from onnxpack.exporters.sklearn.tokens import END, lowercase, word_texts

MOST_FEATURES = 2**14
"""Largest number of hash columns. Tensors are dense: a wider row takes more than 128 KiB."""
LEAST_OPSET = 16
"""First opset in which ``ScatterElements`` can add."""


class HashedWords(Family):
    """Converts ``HashingVectorizer``: counts the words of each hash in a text."""

    def unwritable(self, model: Any) -> str:
        """Return why the model has too many columns for a graph; empty if it does not."""
        return _too_wide(model)

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the counts, [batch, hashes]."""
        refuse_unwritten(model)
        if model.analyzer != "word" or tuple(model.ngram_range) != (1, 1):
            raise ExportError(
                f"ngram_range={model.ngram_range} of analyzer={model.analyzer!r} joins texts "
                "before they are hashed, which ONNX cannot do at this opset"
            )
        text, zero = n.flat(x), None
        if model.lowercase:
            text, zero = lowercase(text)
        words = word_texts(text, model.token_pattern)
        left_out = [END, *sorted(model.get_stop_words() or ())]
        kept = n.equal(words.number(left_out), len(left_out))
        # Words of opposite signs add up to 0 in a column, which with binary=True still counts as 1.
        signed = model.alternate_sign and not model.binary
        found = _hashed(words, kept, model.n_features, signed=signed)
        if model.binary:
            found = (found > 0.0).cast("float64")
        found = found.cast(np.dtype(model.dtype).name)
        found = found if model.norm is None else normalize(found, model.norm)
        return found if zero is None else found + zero.cast(found.dtype)


class HashedTexts(Family):
    """Converts ``FeatureHasher`` of texts: counts the texts of each hash in a row."""

    def unwritable(self, model: Any) -> str:
        """Return why no graph can hold the model; empty if one can.

        The reason is that its inputs are not texts, or that it has too many columns.
        """
        if model.input_type != "string":
            return "FeatureHasher takes dictionaries or pairs, which are not tensors"
        return _too_wide(model)

    def transform(self, model: Any, x: Tensor) -> Tensor:
        """Return the counts, [batch, hashes]."""
        if x.dtype != "str":
            raise ExportError("FeatureHasher receives numbers instead of texts")
        every = n.equal(x.number([END]), 1)
        found = _hashed(x, every, model.n_features, signed=model.alternate_sign)
        return found.cast(np.dtype(model.dtype).name)


def _too_wide(model: Any) -> str:
    if model.n_features <= MOST_FEATURES:
        return ""
    return (
        f"n_features={model.n_features} makes rows that are too large without sparse tensors: "
        f"at most {MOST_FEATURES} are supported"
    )


def _hashed(texts: Tensor, kept: Tensor, size: int, *, signed: bool) -> Tensor:
    """Return the sum over the texts of each hash in a row, float64 [batch, size].

    scikit-learn hashes to 32 bits with seed 0. The column is the hash's magnitude modulo the number
    of features, and the sign is the hash's sign. In int64 the magnitude of -2**31 is exact.
    """
    graph = texts.graph
    if graph.opset < LEAST_OPSET:
        raise ExportError(f"summing hashed texts needs opset {LEAST_OPSET} or newer")
    code = graph.op(
        "MurmurHash3", texts, dtype="int32", domain="com.microsoft", positive=0, seed=0
    ).cast("int64")
    magnitude = n.absolute(code)
    place = graph.op("Mod", magnitude, graph.constant(np.int64(size)), dtype="int64")
    value = n.where(code < 0, -1.0, 1.0) if signed else n.where(code < 0, 1.0, 1.0)
    return graph.op(
        "ScatterElements",
        n.repeated(texts, np.zeros(size)),
        place,
        n.where(kept, value, 0.0),
        dtype="float64",
        axis=1,
        reduction="add",
    )


FAMILIES: dict[str, Family] = {
    "FeatureHasher": HashedTexts(),
    "HashingVectorizer": HashedWords(),
}
