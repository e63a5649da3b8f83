"""Create files and folders completely or not at all, also if the process is killed.

What is being made has a temporary name beside its place, and a lock that ends with its process. So
whoever writes to the same place next knows what a killed process left, and what another process is
still making.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_NOT_HERE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
"""Errors of a kernel or file system that cannot exchange two names."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MADE, ASIDE = ".tmp", ".old"


@contextmanager
def atomic_file(to: Path) -> Iterator[BinaryIO]:
    """Yield a file that replaces ``to`` on success; on failure ``to`` stays unchanged.

    Raises:
        OSError: the file cannot be written.
    """
    remove_leftovers(to)
    made = _sibling(to)
    try:
        with _created(made, _new_file), made.open("wb") as target:
            yield target
            target.flush()
            made.replace(to)
    finally:
        with suppress(OSError):
            made.unlink()


@contextmanager
def atomic_folder(to: Path) -> Iterator[Path]:
    """Yield a folder that becomes ``to`` on success; on failure ``to`` stays unchanged.

    A folder that is there is replaced in one step, and then deleted. Where the file system cannot
    do that, it is put aside first; if the process is killed just then, the next one that writes to
    the same place puts it back.

    Raises:
        OSError: the folder cannot be written.
    """
    remove_leftovers(to)
    made = _sibling(to)
    try:
        with _created(made, Path.mkdir):
            yield made
            _put(made, to)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def remove_leftovers(to: Path) -> None:
    """Remove what killed processes left beside a place, and put back what they had put aside."""
    name = re.compile(rf"\.{re.escape(to.name)}\.[0-9a-f]{{16}}(\.tmp|\.old)")
    with suppress(OSError):
        for each in [each for each in to.parent.iterdir() if name.fullmatch(each.name)]:
            with suppress(OSError), _locked(each) as left:
                if not left:
                    continue  # a living process has the lock
                if each.suffix == ASIDE and not os.path.lexists(to):
                    each.rename(to)
                elif each.is_dir():
                    shutil.rmtree(each, ignore_errors=True)
                else:
                    each.unlink()


def _put(made: Path, to: Path) -> None:
    """Rename a folder to its place; what was there gets the temporary name, or is deleted."""
    if not os.path.lexists(to):
        made.rename(to)
        return
    if _exchange(made, to):
        return
    aside = made.with_suffix(ASIDE)
    with _locked(to):
        try:
            to.rename(aside)
            made.rename(to)
        finally:
            if os.path.lexists(to):
                shutil.rmtree(aside, ignore_errors=True)
            elif os.path.lexists(aside):
                aside.rename(to)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step (renameat2(2)); return False where that is not supported."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_HERE:
        return False
    raise OSError(code, os.strerror(code), os.fspath(other))


@contextmanager
def _created(made: Path, create: Callable[[Path], object]) -> Iterator[None]:
    """Create a file or folder and hold its lock.

    Before it is locked, another process can take it for left behind. Then it is created again,
    once that process has removed it.
    """
    while True:
        create(made)
        try:
            handle = os.open(made, _FLAGS)
        except FileNotFoundError:
            continue
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.path.lexists(made):
                yield
                return
        finally:
            os.close(handle)


def _new_file(path: Path) -> None:
    path.open("xb").close()


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the lock of a file or folder, whatever its name becomes.

    Yields:
        Whether it is held: another process may have it, or the file system may have no locks.
    """
    handle = os.open(path, _FLAGS)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = True
        except OSError:
            held = False
        yield held
    finally:
        os.close(handle)


def _sibling(to: Path) -> Path:
    return to.with_name(f".{to.name}.{secrets.token_hex(8)}{MADE}")
