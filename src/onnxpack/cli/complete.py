"""Complete what a shell asks for: code, samples, providers, variants, packs.

click calls each function as ``shell_complete`` with the parameters typed so far and the word to
complete. ``file`` lets the shell complete paths itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onnxpack.errors import ProviderError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def target(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete a file, or the names in ``file.py:``, without running the file."""
    file, colon, _ = incomplete.partition(":")
    if colon and file.endswith(".py"):
        return _starting([f"{file}:{name}" for name in _names(Path(file))], incomplete)
    return _files(incomplete)


def sample(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the path of a sample."""
    return _files(incomplete)


def provider(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the providers of the installed onnxruntime."""
    from onnxpack.runtime.providers import AUTO, in_build, short_name

    try:
        names = [AUTO, *map(short_name, in_build())]
    except ProviderError:  # a completion has nowhere to report that onnxruntime is missing
        names = [AUTO]
    return _starting(names, incomplete)


def variant(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the variants of the pack that was typed before."""
    typed = context.params.get("pack")
    folder = Path(typed) / "variants" if isinstance(typed, str | Path) else None
    found = sorted(each.name for each in folder.iterdir()) if folder and folder.is_dir() else []
    return _starting(["auto", "base", *found], incomplete)


def pack(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the packs in this folder, and ``compare`` after ``image``; else paths.

    bash completes paths only if nothing else is completed, so the packs are listed here.
    """
    packs = sorted(f"{each.parent.name}/" for each in Path().glob("*/pack.json"))
    words = ["compare"] if context.info_name == "image" else []
    return _starting([*words, *packs], incomplete) or _files(incomplete)


def _names(file: Path) -> list[str]:
    """Return the public names at the top level of a Python file."""
    import ast

    try:
        body = ast.parse(file.read_bytes()).body
    except (OSError, SyntaxError, ValueError):  # nothing can be completed
        return []
    names: list[str] = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [each.id for each in node.targets if isinstance(each, ast.Name)]
    return [name for name in dict.fromkeys(names) if not name.startswith("_")]


def _starting(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _files(incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]
