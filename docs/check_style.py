"""The language of docstrings and comments, as far as a program can judge it.

``python docs/check_style.py [FOLDER …]`` prints each finding as ``file:line: what`` and exits 1 if
there is one. It finds docstrings that are too short to say anything, docstrings that begin with a
preposition and so have no verb, and words that a reader has to puzzle out. ``make check`` runs it.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

SHORTEST = 20
"""Characters of a docstring's first line."""
FRAGMENT = re.compile(
    r"(Of|As|With|By|To|In|From|For|On|At|Between|Without|Beside|Among|After|Before|See|Like) "
)
RULED_OUT = re.compile(
    r"""\b(
        tells? | is\ told | are\ told | told\ of | (is|are|was|were)\ held\ (against|to)
        | has\ it\ that | may\ not | is\ no | are\ no | of\ which | and\ the\ like | bears?
        | as\ it\ (is|stands) | nor\ has | besides
    )\b""",
    re.VERBOSE | re.IGNORECASE,
)
ALLOWED = {"memory"}
"""Names whose one-word docstrings are the field's own terms."""


def main(folders: list[str]) -> int:
    """Print what is found below the folders; return 1 if there is anything."""
    found = False
    for folder in folders or ["src"]:
        for path in sorted(Path(folder).rglob("*.py")):
            for line, what in (*docstrings(path), *comments(path)):
                print(f"{path}:{line}: {what}")
                found = True
    return int(found)


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with the docstrings of a file, by line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node)
        if text is None or getattr(node, "name", "") in ALLOWED:
            continue
        line = node.body[0].lineno
        first = text.splitlines()[0]
        if len(first) < SHORTEST:
            yield line, f"the docstring {first!r} is too short to say what it is about"
        elif FRAGMENT.match(first):
            yield line, f"the docstring {first!r} is a fragment: it has no verb"
        for match in RULED_OUT.finditer(" ".join(text.split())):
            yield line, f"{match[0]!r} in a docstring"


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Yield words that are ruled out in the comments of a file, by line."""
    with path.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type == tokenize.COMMENT:
                for match in RULED_OUT.finditer(token.string):
                    yield token.start[0], f"{match[0]!r} in a comment"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
