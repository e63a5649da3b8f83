"""Open files inside an untrusted folder so that no path can lead out of it.

Each part of a path is opened relative to the part before, and the call that opens it also refuses a
symlink. So nothing can change between a check and the opening.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from onnxpack.errors import PackError

MAX_PATH_CHARACTERS = 4096
MAX_NAMES = 100_000

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a named pipe would wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DRIVE = re.compile(r"^[A-Za-z]:")


def split(relative: str) -> tuple[str, ...]:
    """Return the parts of a relative path with forward slashes.

    Raises:
        PackError: the path is absolute, climbs, or is read differently by other systems.
    """
    fault = _fault(relative)
    if fault:
        raise PackError(f"path {relative[:200]!r} {fault}; expected a path inside the folder.")
    return tuple(relative.split("/"))


@contextmanager
def open_inside(folder: Path, relative: str, *, alone: bool = False) -> Iterator[BinaryIO]:
    """Open a regular file inside ``folder`` for reading.

    Args:
        folder: a trusted folder; may be a symlink.
        relative: an untrusted path; see ``split``.
        alone: refuse a file with a second name (a hard link), which may be elsewhere.

    Raises:
        PackError: the path leads out of the folder, or is not a regular file.
    """
    parts = split(relative)
    where = folder / relative
    # The folder's own path comes from the user, so its symlinks are followed.
    at = _open(str(folder), _FOLDER & ~os.O_NOFOLLOW, None, folder)
    try:
        for part in parts[:-1]:
            inner = _open(part, _FOLDER, at, where)
            os.close(at)
            at = inner
        found = _open(parts[-1], _FILE, at, where)
    finally:
        os.close(at)
    with _stream(found, where, alone=alone) as stream:
        yield stream


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open the regular file at a path that the user gave; symlinks are followed."""
    found = _open(str(path), _FILE & ~os.O_NOFOLLOW, None, path)
    with _stream(found, path, alone=False) as stream:
        yield stream


def list_names(folder: Path, *, limit: int = MAX_NAMES) -> set[str]:
    """Return the names in a folder.

    Raises:
        PackError: the folder cannot be read, or has more than ``limit`` names.
    """
    names: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(names) == limit:
                    raise PackError(f"{folder} holds more than {limit} files.")
                names.add(entry.name)
    except OSError as exc:
        raise PackError(f"{folder} cannot be read ({exc.strerror}).") from exc
    return names


def size(stream: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(stream.fileno()).st_size


def read(stream: BinaryIO, *, limit: int, what: str) -> bytes:
    """Return the whole content of a file; a longer one than ``limit`` bytes is not read.

    Raises:
        PackError: the file is longer, or shrinks while it is read.
    """
    found = size(stream)
    if found > limit:
        raise PackError(f"{what} is {found} bytes long, expected at most {limit}.")
    content = stream.read(found)
    if len(content) != found:
        raise PackError(f"{what} changed while it was read.")
    return content


def _fault(relative: str) -> str:
    if not relative or len(relative) > MAX_PATH_CHARACTERS:
        return f"has {len(relative)} characters"
    if "\0" in relative or "\\" in relative:
        return "holds a NUL or a backslash"
    if relative.startswith("/") or _DRIVE.match(relative):
        return "is absolute"
    try:
        os.fsencode(relative)
    except UnicodeEncodeError:
        return "cannot be a file name on this system"
    parts = relative.split("/")
    if ".." in parts:
        return "climbs with '..'"
    return "has an empty part" if {"", "."} & set(parts) else ""


def _open(name: str, flags: int, at: int | None, where: Path) -> int:
    try:
        return os.open(name, flags, dir_fd=at)
    except OSError as exc:
        reasons = {
            errno.ELOOP: "is a symlink, or is behind one",
            errno.ENOTDIR: "is behind a symlink or something that is not a folder",
            errno.ENOENT: "does not exist",
        }
        reason = reasons.get(exc.errno or 0, f"cannot be opened ({exc.strerror})")
        raise PackError(f"{where} {reason}.") from exc


def _stream(found: int, where: Path, *, alone: bool) -> BinaryIO:
    try:
        status = os.fstat(found)
        if not stat.S_ISREG(status.st_mode):
            raise PackError(f"{where} is not a regular file.")
        if alone and status.st_nlink > 1:
            raise PackError(f"{where} is a hard link: the file has {status.st_nlink} names.")
        return os.fdopen(found, "rb")
    except BaseException:
        os.close(found)
        raise
