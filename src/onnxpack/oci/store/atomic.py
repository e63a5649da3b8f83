"""Create the files and folders of images completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias

from onnxpack import atomic
from onnxpack.errors import ImageError

IsOurs: TypeAlias = Callable[[Path, str], bool]
"""Tells of a folder and a relative path whether such a file is one that is made there."""


@contextmanager
def atomic_file(to: Path) -> Iterator[BinaryIO]:
    """Yield a file that replaces ``to`` on success; on failure ``to`` stays unchanged.

    Raises:
        ImageError: the file cannot be written.
    """
    try:
        with atomic.atomic_file(to) as made:
            yield made
    except OSError as exc:
        raise _refused(to, exc) from exc


@contextmanager
def atomic_folder(to: Path, *, is_ours: IsOurs, force: bool = False) -> Iterator[Path]:
    """Yield a folder that becomes ``to`` on success; on failure ``to`` stays unchanged.

    Args:
        to: the folder to create.
        is_ours: which files an existing folder can hold to be replaced.
        force: replace an existing folder.

    Raises:
        ImageError: ``to`` exists, holds other files, or cannot be written.
    """
    check_free(to, is_ours=is_ours, force=force)
    try:
        with atomic.atomic_folder(to) as made:
            yield made
            check_free(to, is_ours=is_ours, force=force)
    except OSError as exc:
        raise _refused(to, exc) from exc


def check_free(to: Path, *, is_ours: IsOurs, force: bool) -> None:
    """Check that the place is free before the work starts.

    Raises:
        ImageError: the place is taken, and not by a folder of the same kind that may be replaced.
    """
    if not os.path.lexists(to):
        return
    if to.is_symlink() or not to.is_dir():
        raise ImageError(f"{to} already exists and is not a folder.")
    if not force:
        raise ImageError(f"{to} already exists.", remedy="choose another place, or use --force")
    for place, folders, names in os.walk(to):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in (*names, *links):
            relative = Path(place, name).relative_to(to).as_posix()
            if not is_ours(to, relative):
                raise ImageError(
                    f"{to} holds {relative}, which no image there would: --force replaces only "
                    "what onnxpack made.",
                    remedy="choose another place (-o)",
                )


def _refused(to: Path, exc: OSError) -> ImageError:
    return ImageError(f"{to} cannot be written: {exc.strerror or exc}.")
