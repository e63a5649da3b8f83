"""Create files and folders completely or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from onnxpack.errors import ImageError


@contextmanager
def atomic_file(to: Path) -> Iterator[BinaryIO]:
    """Yield a file that replaces ``to`` on success; on failure ``to`` stays unchanged.

    Raises:
        ImageError: the file cannot be written.
    """
    made = _sibling(to)
    try:
        with made.open("xb") as target:
            yield target
        made.replace(to)
    except OSError as exc:
        raise _refused(to, exc) from exc
    finally:
        with suppress(OSError):
            made.unlink()


@contextmanager
def atomic_folder(to: Path, *, force: bool = False) -> Iterator[Path]:
    """Yield a folder that becomes ``to`` on success; on failure ``to`` stays unchanged.

    Args:
        to: the folder to create.
        force: replace an existing folder.

    Raises:
        ImageError: ``to`` exists, or cannot be written.
    """
    check_free(to, force=force)
    made = _sibling(to)
    try:
        made.mkdir()
        yield made
        _move_in(made, to, force=force)
    except OSError as exc:
        raise _refused(to, exc) from exc
    finally:
        shutil.rmtree(made, ignore_errors=True)


def check_free(to: Path, *, force: bool) -> None:
    """Check that the place is free before the work starts.

    Raises:
        ImageError: the place is taken.
    """
    if not os.path.lexists(to):
        return
    if to.is_symlink() or not to.is_dir():
        raise ImageError(f"{to} already exists and is not a folder.")
    if not force:
        raise ImageError(f"{to} already exists.", remedy="choose another place, or use --force")


def _move_in(made: Path, to: Path, *, force: bool) -> None:
    check_free(to, force=force)
    aside = made.with_suffix(".old")
    try:
        if os.path.lexists(to):
            to.rename(aside)
        made.rename(to)
    finally:
        if os.path.lexists(to):
            shutil.rmtree(aside, ignore_errors=True)
        elif os.path.lexists(aside):
            aside.rename(to)


def _sibling(to: Path) -> Path:
    return to.with_name(f".{to.name}.{secrets.token_hex(8)}.tmp")


def _refused(to: Path, exc: OSError) -> ImageError:
    return ImageError(f"{to} cannot be written: {exc.strerror or exc}.")
