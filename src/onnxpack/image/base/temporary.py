"""Temporary folders for programs that leave files behind when they are killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from onnxpack.image.cache.lock import EXCLUSIVE, try_lock, wait_for_lock

MOUNTS = Path("/proc/self/mountinfo")
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def temporary_folder(name: str) -> Iterator[tuple[Path, int]]:
    """Yield a folder in the system's temporary folder, and its descriptor, which has a lock.

    What killed processes left there is removed first. A program that inherits the descriptor keeps
    its folder, even if this process is killed.

    Args:
        name: name of the program that the folder is for.
    """
    prefix = f"onnxpack-{name}-{os.getuid()}-"
    for left in Path(gettempdir()).glob(f"{prefix}*"):
        _remove_unused(left)
    folder, handle = _created(prefix)
    try:
        # Programs in a user namespace are another user, who has to pass through.
        folder.chmod(0o755)
        yield folder, handle
    finally:
        _remove(folder)
        os.close(handle)


def _created(prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(mkdtemp(prefix=prefix))
        with suppress(FileNotFoundError):
            handle = os.open(folder, _FLAGS)
            wait_for_lock(handle, EXCLUSIVE)
            if folder.exists():
                return folder, handle
            os.close(handle)  # another process took it for one that was left


def _remove_unused(folder: Path) -> None:
    """Remove a folder of this user that no process has locked."""
    with suppress(OSError):
        handle = os.open(folder, _FLAGS)
        try:
            if os.fstat(handle).st_uid == os.getuid() and try_lock(handle, EXCLUSIVE):
                _remove(folder)
        finally:
            os.close(handle)


def _remove(folder: Path) -> None:
    """Remove a folder, but nothing of a file system that is mounted inside of it."""
    if not any(_is_inside(line.split()[4], folder) for line in MOUNTS.read_text().splitlines()):
        shutil.rmtree(folder, ignore_errors=True)


def _is_inside(mount: str, folder: Path) -> bool:
    return Path(mount).is_relative_to(folder)
