"""Checks of a sample against what the model was fitted with: kinds of columns, letters, gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from onnxpack.errors import SampleError
from onnxpack.exporters.sklearn.convert import parts
from onnxpack.exporters.sklearn.registry import family_of
from onnxpack.signature import Array

LETTERS = frozenset("ςσığş\u0307")
"""Letters that are special in lower case; a vocabulary with them shows that such texts occur."""
LOWER = (
    "the pack refuses texts with İ, or with Σ at the end of a word, because ONNX Runtime "
    "lowercases them differently from Python: send text.lower()"
)
MISSING_TEXTS = "the model was fitted with missing texts: an empty text stands for them"
HASHED = "the graph needs ONNX Runtime, whose own operator com.microsoft.MurmurHash3 hashes texts"


def refuse_other_kinds(model: Any, frame: Any) -> None:
    """Raise an error if a column holds numbers but the model knows texts, or the other way round.

    A CSV file turns texts such as zip codes into numbers.

    Raises:
        SampleError: a column's values are of another kind than the model's categories.
    """
    for name, categories in _categories(model):
        if name not in frame.columns:
            continue
        kind = getattr(frame[name].dtype, "kind", "O")
        known = [item for item in categories if item == item]
        texts = bool(known) and all(isinstance(item, str) for item in known)
        if texts and kind in "biuf":
            raise SampleError(
                f"column {name!r} of the sample is {frame[name].dtype}, but the model was "
                f"fitted with texts such as {known[0]!r}, as happens when a table is read back "
                "from CSV.",
                remedy=f"frame[{name!r}] = frame[{name!r}].astype(str){_filled(known)}",
            )
        numbers = np.asarray(categories)
        if numbers.dtype.kind in "biuf" and _holds_texts(frame[name]):
            raise SampleError(
                f"column {name!r} of the sample contains texts, but the model was fitted with "
                f"{numbers.dtype}.",
                remedy=f"frame[{name!r}] = frame[{name!r}].astype('{numbers.dtype}')",
            )


def _categories(model: Any) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield each input column that an encoder sees unchanged, with its categories."""
    for part in parts(model):
        for _, each, columns in getattr(part, "transformers_", ()):
            names = list(columns) if isinstance(columns, list | np.ndarray) else []
            for inner in parts(each):
                known = getattr(inner, "categories_", ())
                if len(known) == len(names):
                    yield from zip(map(str, names), known, strict=True)
        names = list(getattr(part, "feature_names_in_", ()))
        known = getattr(part, "categories_", ())
        if len(known) == len(names):
            yield from zip(names, known, strict=True)


def _filled(known: Sequence[str]) -> str:
    """Return code that restores leading zeros if all known texts have the same length."""
    lengths = {len(text) for text in known}
    return f".str.zfill({lengths.pop()})" if len(lengths) == 1 else ""


def _holds_texts(series: Any) -> bool:
    present = series[~series.isna()]
    return len(present) > 0 and all(isinstance(item, str) for item in present)


def refuse_unlike_letters(model: Any, feeds: Mapping[str, Array]) -> None:
    """Raise an error for texts that ONNX Runtime converts to lower case differently than Python.

    Raises:
        SampleError: a text has such a letter, and the model converts texts to lower case.
    """
    if not any(True for _ in _lowering(model)):
        return
    for name, array in feeds.items():
        texts = array.ravel() if array.dtype.kind == "O" else ()
        found = next((at for at, text in enumerate(texts) if _is_unlike(text)), None)
        if found is not None:
            cure = "sample = [text.lower() for text in sample]"
            if name != "X":
                cure = f"frame[{name!r}] = frame[{name!r}].str.lower()"
            raise SampleError(
                f"text {found} of the sample has İ, or Σ at the end of a word, which Python and "
                "ONNX Runtime lowercase differently.",
                remedy=f"{cure}; the model answers the same, and requests need it too",
            )


def _is_unlike(text: str) -> bool:
    """Return whether the text has İ, or Σ at the end of a word.

    In Python's lower case, İ becomes two characters, and Σ becomes ς or σ, depending on what
    follows.
    """
    following = (*text[1:], " ") if text else ()
    return any(
        letter == "İ" or (letter == "Σ" and next_.lower() == next_.upper())
        for letter, next_ in zip(text, following, strict=True)
    )


def text_notes(model: Any) -> list[str]:
    """Return notes for the user on how the model's graph reads texts."""
    shown = any(LETTERS.intersection(term) for each in _lowering(model) for term in each)
    hashed = any("Hash" in type(family_of(part)).__name__ for part in parts(model))
    return [*([LOWER] if shown else []), *([HASHED] if hashed else [])]


def gap_notes(model: Any, feeds: Mapping[str, Array], notes: Sequence[str]) -> list[str]:
    """Return a note if an encoder knows missing texts but the sample contains none."""
    texts = any(array.dtype.kind == "O" for array in feeds.values())
    if not texts or any("missing texts" in note for note in notes):
        return []
    known = (each for part in parts(model) for each in getattr(part, "categories_", ()))
    return [MISSING_TEXTS] if any(_has_gap_among_texts(each) for each in known) else []


def known_gaps(model: Any) -> dict[str, Any]:
    """Return the missing text that an encoder knows, None or NaN, by the name of its column."""
    found = {}
    for name, categories in _categories(model):
        if _has_gap_among_texts(categories):
            found[name] = next(item for item in categories if item is None or item != item)
    return found


def empty_categories(model: Any, names: Sequence[str]) -> set[str]:
    """Return the columns in which an empty text is a category that the model was fitted with.

    Args:
        names: all columns; they are returned if such an encoder cannot be traced to its columns.
    """
    return _columns_in_which(model, names, "categories_", _has_empty_text)


def filled_columns(model: Any, names: Sequence[str]) -> set[str]:
    """Return the columns in which an imputer of the model fills missing texts."""
    return _columns_in_which(model, names, "statistics_", lambda each: isinstance(each, str))


def _columns_in_which(
    model: Any, names: Sequence[str], fitted: str, holds: Callable[[Any], bool]
) -> set[str]:
    """Return the columns for which a fitted attribute of some part holds what is looked for."""
    found: set[str] = set()
    for part in parts(model):
        known = getattr(part, fitted, None)
        if known is None or not any(map(holds, known)):
            continue
        before = _columns_before(model, part)
        columns = next((each for each in before if len(each) == len(known)), None)
        if columns is None:
            return set(names)
        found.update(name for name, each in zip(columns, known, strict=True) if holds(each))
    return found


def _columns_before(model: Any, encoder: Any) -> Iterator[list[str]]:
    """Yield the names of the columns that steps around an encoder receive, innermost last."""
    for part in parts(model):
        for _, each, columns in getattr(part, "transformers_", ()):
            if isinstance(columns, list | np.ndarray) and any(p is encoder for p in parts(each)):
                yield [*map(str, columns)]
        names = getattr(part, "feature_names_in_", None)
        if names is not None and any(inner is encoder for inner in parts(part)):
            yield [*map(str, names)]


def _has_empty_text(categories: Any) -> bool:
    return any(isinstance(item, str) and not item for item in categories)


def _has_gap_among_texts(categories: Any) -> bool:
    missing = [item is None or item != item for item in categories]
    return any(missing) and any(isinstance(item, str) for item in categories)


def _lowering(model: Any) -> Iterator[Sequence[str]]:
    """Yield the vocabulary of each part that converts texts to lower case; empty if it has none."""
    for part in parts(model):
        if hasattr(part, "build_analyzer") and part.lowercase:
            yield list(getattr(part, "vocabulary_", ()))
