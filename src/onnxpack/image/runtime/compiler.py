"""Compile byte code; run by the target's interpreter, so only the standard library is imported.

There are always two processes, each with every other file: files compiled earlier in the same
process can change the byte code of a later file.
"""

import ast
import importlib.util
import marshal
import multiprocessing
import sys
from pathlib import Path

PROCESSES = 2
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def without_docstrings(source: bytes, name: str) -> ast.Module:
    """Return the syntax tree without docstrings; ``-OO`` would drop assertions as well."""
    tree = ast.parse(source, name)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            # A body must not be empty, and an import from __future__ has to be first.
            node.body = node.body[1:] or [ast.copy_location(ast.Pass(), node.body[0])]
    fixed: ast.Module = ast.fix_missing_locations(tree)
    return fixed


def compile_one(source: bytes, name: str) -> bytes:
    """Return the content of a .pyc that is not checked against its source (PEP 552)."""
    code = compile(without_docstrings(source, name), name, "exec", dont_inherit=True, optimize=0)
    head = importlib.util.MAGIC_NUMBER + (0b01).to_bytes(4, "little")
    return head + importlib.util.source_hash(source) + marshal.dumps(code)


def compile_share(share: tuple[str, list[tuple[int, str]]]) -> None:
    """Compile the files of one process."""
    to, numbered = share
    for number, line in numbered:
        path, _, name = line.partition("\0")
        try:
            content = compile_one(Path(path).read_bytes(), name)
        except (SyntaxError, ValueError):
            continue  # some packages contain templates, and files for another version
        Path(to, f"{number}.pyc").write_bytes(content)


def main() -> None:
    """Compile the files on standard input: a path, NUL, and its name in the image."""
    numbered = list(enumerate(sys.stdin.read().split("\n")))
    shares = [(sys.argv[1], numbered[first::PROCESSES]) for first in range(PROCESSES)]
    with multiprocessing.get_context("fork").Pool(PROCESSES, maxtasksperchild=1) as pool:
        pool.map(compile_share, shares, chunksize=1)


if __name__ == "__main__":
    main()
