"""Conversion of a text to the numbers of its words or characters in a list of known ones."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from onnxpack.errors import ExportError
from onnxpack.exporters.sklearn import numeric as n
from onnxpack.exporters.sklearn.tensor import Tensor

WORD = r"[\pL\pN_]"
"""What Python's ``\\w`` matches, as RE2 writes it."""
SPACES = (
    r"\t-\r\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}"
    r"\x{3000}"
)
"""What Python's ``\\s`` matches, as RE2 writes it within brackets."""
_LEAST = r"(?:\+|\{(?P<least>\d+),\})"
_WORDS = re.compile(rf"(?:\(\?u\))?(?P<edge>(?:\\b)?)(?P<more>(?:\\w)*)\\w{_LEAST}(?P=edge)")
_LETTERS = re.compile(rf"(?:\(\?u\))?(?P<kind>\\S|\[(?:[a-zA-Z]-[a-zA-Z]|0-9|_)+\]){_LEAST}")
UNLIKE = r"İ|Σ(?:[^\p{Lu}\p{Ll}\p{Lt}]|$)"
"""Letters whose lower case in Python has several characters, or depends on the next character."""
GUARD = "a text has İ, or Σ at the end of a word, which Python lowercases differently"
LOCALE = "C.UTF-8"
END = "\0end"
"""Pads a text that is shorter than the longest one; no word or character equals it."""
SPACE = " "


def lowercase(text: Tensor) -> tuple[Tensor, Tensor]:
    """Return the text in lower case, and a zero whose computation fails for special letters.

    The zero, int64, must be added to the result: its ``Gather`` fails at run time if a text has
    letters that ONNX Runtime converts to lower case differently than Python.
    """
    graph = text.graph
    lower = graph.op(
        "StringNormalizer", text, dtype="str", case_change_action="LOWER", locale=LOCALE
    )
    count = n.gather(graph.op("Shape", _found(text, UNLIKE), dtype="int64"), 1)
    nothing = graph.constant(np.zeros(1, np.int64))
    return lower, graph.op("Gather", nothing, count, dtype="int64", title=GUARD, axis=0)


def words(text: Tensor, pattern: str, known: Sequence[str], left_out: Sequence[str]) -> Tensor:
    """Return the numbers of the words in each text, int64 [batch, words].

    The number of an unknown word, and of padding, is ``len(known) + len(left_out)``.

    Args:
        text: [batch].
        pattern: Python's regular expression of a word.
        known: the words that have numbers.
        left_out: words that are removed from each row; none of them is in ``known``.

    Raises:
        ExportError: RE2 may read the pattern differently than Python does.
    """
    tokens = _found(text, _written(pattern))
    if not left_out:
        return tokens.number(known)
    number = tokens.number([*known, *left_out])
    return _without(number, len(known), len(known) + len(left_out))


def word_texts(text: Tensor, pattern: str) -> Tensor:
    """Return the words of each text, [batch, words], padded with :data:`END`.

    Raises:
        ExportError: RE2 may read the pattern differently than Python does.
    """
    found = _found(text, _written(pattern))
    # One more column, because the operator returns fewer axes if it has nothing to search.
    return n.concat([found, n.repeated(found, np.array([END], object))])


def characters(text: Tensor, known: Sequence[str], *, within_words: bool) -> Tensor:
    """Return the numbers of the characters of each text, int64 [batch, length].

    The number of an unknown character is ``len(known)``. So is that of padding, except
    ``within_words``, where padding becomes spaces.

    Args:
        text: [batch].
        known: the characters that have numbers; they include a space.
        within_words: whether every run of white space becomes one space, with one space before the
            first word and one or more after the last; otherwise only runs of at least two do.
    """
    space = known.index(SPACE)
    runs = f"[{SPACES}]+" if within_words else f"[{SPACES}]{{2,}}"
    tokens = _found(text, f"{runs}|(?s:.)")
    # One more column: the operator returns fewer axes if it has nothing to search.
    tokens = n.concat([tokens, n.repeated(tokens, np.array([END], object))])
    is_run = n.total(n.equal(_found(tokens, runs).number([END]), 1), 2) > 0
    number = n.where(is_run, space, tokens.number(known))
    if not within_words:
        return number
    number = n.where(n.equal(tokens, END), space, number)
    return n.concat([n.repeated(number, np.array([space])), number])


def _found(text: Tensor, pattern: str) -> Tensor:
    """Return all matches in each text, along a new last axis, padded with :data:`END`."""
    return text.graph.op(
        "Tokenizer",
        text,
        dtype="str",
        domain="com.microsoft",
        mark=0,
        mincharnum=1,
        pad_value=END,
        tokenexp=pattern,
    )


def _without(number: Tensor, low: int, high: int) -> Tensor:
    """Return rows without the numbers in ``low`` … ``high - 1``, filled up with ``high``."""
    dropped = (number >= low) & (number < high)
    place = n.cumsum((~dropped).cast("int64"), 1) - 1
    length = n.gather(number.graph.op("Shape", number, dtype="int64"), [1])
    free = n.concat([number * 0 + high, n.repeated(number, np.array([high]))])
    return number.graph.op(
        "ScatterElements", free, n.where(dropped, length, place), number, dtype="int64", axis=1
    )


def _written(pattern: str) -> str:
    """Return Python's pattern as one for RE2, which finds the longest match.

    Raises:
        ExportError: the pattern is not one that both are known to read alike.
    """
    match = _WORDS.fullmatch(pattern)
    if match:
        least = int(match["least"] or 1) + len(match["more"]) // len(r"\w")
        return f"{WORD}{{{least},}}"
    match = _LETTERS.fullmatch(pattern)
    if match:
        kind = f"[^{SPACES}]" if match["kind"] == r"\S" else match["kind"]
        return f"{kind}{{{match['least'] or 1},}}"
    raise ExportError(
        f"ONNX Runtime may read token_pattern={pattern!r} differently; supported are "
        r"\w, \S or a class of ASCII letters, at least once or a given number of times: "
        r"\b\w\w+\b, \w{3,}, [a-z]+"
    )
