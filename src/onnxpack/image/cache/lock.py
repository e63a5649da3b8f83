"""Lock a file by flock(2): a lock ends with its process, however the process ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SHARED, EXCLUSIVE = fcntl.LOCK_SH, fcntl.LOCK_EX


def open_lock(path: Path) -> int:
    """Open the file of a lock, and create it if needed; no right to write to it is needed.

    Raises:
        OSError: the file cannot be created, as in a cache that is read-only.
    """
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)


def try_lock(handle: int, how: int) -> bool:
    """Lock an open file without waiting; return False if another process holds it.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(handle: int, how: int) -> None:
    """Lock an open file; without locks in the file system, nothing is locked."""
    with suppress(OSError):
        fcntl.flock(handle, how)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the only lock of a file; wait while another process holds it.

    Raises:
        OSError: the file cannot be created.
    """
    handle = open_lock(path)
    try:
        wait_for_lock(handle, EXCLUSIVE)
        yield
    finally:
        os.close(handle)
