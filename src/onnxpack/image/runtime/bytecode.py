"""Compile byte code for the image's Python with an interpreter of the same version.

An interpreter imports byte code three times as fast as it compiles sources. The byte code is marked
as unchecked (PEP 552): it contains no file time, so the same sources give the same bytes. It
replaces the sources, which nobody edits in an image; tracebacks still name files and lines.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from posixpath import dirname, join, normpath
from tempfile import TemporaryDirectory

from onnxpack.errors import ImageError
from onnxpack.image.child import run_child
from onnxpack.oci.layer.entry import Entry, Symlink, walk

SCRIPT = Path(__file__).with_name("compiler.py")


def find_interpreter(python: str) -> str | None:
    """Return the path of an interpreter of this version, such as ``3.13``, on this machine."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" == python:
        return sys.executable
    found = shutil.which(f"python{python}")
    if found is None:
        return None
    # It may be a pyenv shim for a version that is not installed.
    asked = [found, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return found if told.stdout.strip() == python else None


@contextmanager
def compiled(
    entries: Sequence[Entry], python: str, *, work: Path | None = None
) -> Iterator[list[Entry]]:
    """Yield the entries with byte code instead of sources, while a layer is written.

    A source stays as source if it does not compile, since some are templates, or if this machine
    has no interpreter of this version; then the image starts more slowly.

    Args:
        entries: entries of a layer.
        python: version of Python.
        work: where to create the folder of byte code; None is the system's temporary folder.

    Raises:
        ImageError: the interpreter failed.
    """
    interpreter = find_interpreter(python)
    if interpreter is None:
        yield list(entries)
        return
    with TemporaryDirectory(prefix="onnxpack-", dir=work) as folder:
        to = Path(folder)
        sources = dict(_sources(entries))
        _compile(interpreter, sources, to)
        made = {path: to / f"{number}.pyc" for number, path in enumerate(sources)}
        byte_code = {path: file for path, file in made.items() if file.exists()}
        yield [_replaced(entry, byte_code) for entry in entries]


def compile_tree(tree: Path, python: str) -> None:
    """Replace the sources of a tree by byte code, permanently."""
    entries = list(walk(tree))
    with compiled(entries, python, work=tree.parent) as replaced:
        for old, new in zip(entries, replaced, strict=True):
            if new.path == old.path:
                continue
            (tree / old.path).unlink()
            if isinstance(new.source, Symlink):
                (tree / new.path).symlink_to(new.source.target)
            elif isinstance(new.source, Path):
                shutil.copyfile(new.source, tree / new.path)


def _replaced(entry: Entry, byte_code: Mapping[str, Path]) -> Entry:
    if entry.path in byte_code:
        return Entry(f"{entry.path}c", byte_code[entry.path])
    if isinstance(entry.source, Symlink) and entry.path.endswith(".py"):
        target = entry.source.target
        if normpath(join(dirname(entry.path), target)) in byte_code:
            return Entry(f"{entry.path}c", Symlink(f"{target}c"))
    return entry


def _sources(entries: Sequence[Entry]) -> Iterator[tuple[str, Path]]:
    for entry in entries:
        if entry.path.endswith(".py") and isinstance(entry.source, Path):
            yield entry.path, entry.source


def _compile(interpreter: str, sources: Mapping[str, Path], to: Path) -> None:
    """Compile sources into ``0.pyc``, ``1.pyc`` …, with their names in the image."""
    lines = [f"{source}\0/{path}" for path, source in sources.items()]
    done = run_child(
        [interpreter, "-I", "-S", str(SCRIPT), str(to)],
        given="\n".join(lines),
        # Byte code contains the elements of sets in their order.
        environment={"PYTHONHASHSEED": "0"},
    )
    if done.returncode:
        raise ImageError(
            f"{interpreter} could not compile byte code: {done.stderr.strip()[-500:]}."
        )
