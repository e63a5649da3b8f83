"""Find and remove what killed processes left in a cache that no process uses."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from onnxpack.errors import ImageError
from onnxpack.image.cache.note import SUFFIX, Note
from onnxpack.image.cache.tree import KIND, read_tree
from onnxpack.oci.store.blobs import FOLDER

_HALF = re.compile(r"\..+\.[0-9a-f]{16}\.(tmp|old)")


def leftovers(root: Path) -> Iterator[Path]:
    """Yield what no note names and no process uses: half-made parts, and trees that were replaced.

    Only the holder of the cache's exclusive lock may remove them.
    """
    yield from _inside(root / "work")
    for kind in (KIND, "layers", "facts", FOLDER):
        yield from (path for path in _inside(root / kind) if _HALF.fullmatch(path.name))
    named = {found.name for found in _trees(root)}
    for path in _inside(root / KIND):
        if path.suffix != SUFFIX and path.name not in named and not _HALF.fullmatch(path.name):
            yield path


def remove_leftovers(root: Path) -> None:
    """Remove what killed processes left, and unused locks; what cannot be removed stays."""
    for path in (*leftovers(root), *_inside(root / "locks")):
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder; a symlink is removed, not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _trees(root: Path) -> Iterator[Path]:
    for path in _inside(root / KIND):
        if path.suffix == SUFFIX:
            with suppress(ImageError):
                found = read_tree(root, Note(path).read())
                if found is not None:
                    yield found.path


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
