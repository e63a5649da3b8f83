"""The entries of a layer: files, symlinks and folders, by their paths in the image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from onnxpack.errors import ImageError

FILE_MODE, FOLDER_MODE, LINK_MODE = 0o644, 0o755, 0o777
WHITEOUT = ".wh."


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symlink, with its target as written into the image."""

    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder; its contents are entries of their own."""


Source: TypeAlias = Path | bytes | Symlink | Folder


@dataclass(frozen=True, slots=True)
class Entry:
    """One path of a layer.

    Args:
        path: relative to the image's root, with ``/`` between its parts.
        source: a file on this machine, bytes, a symlink, or a folder.
        mode: permission bits; None means the default for the kind of entry (0644, 0755, 0777).
    """

    path: str
    source: Source
    mode: int | None = None

    def __post_init__(self) -> None:
        _check_path(self.path)
        if self.mode is not None and not 0 <= self.mode <= 0o7777:
            raise ImageError(f"{self.path} has the mode {self.mode:#o}, expected 0 to 0o7777.")
        if isinstance(self.source, Symlink):
            _check_target(self.path, self.source.target)

    @property
    def permissions(self) -> int:
        """The permission bits that are written."""
        if self.mode is not None:
            return self.mode
        if isinstance(self.source, Folder):
            return FOLDER_MODE
        return LINK_MODE if isinstance(self.source, Symlink) else FILE_MODE


def walk(folder: Path, *, at: str = "") -> Iterator[Entry]:
    """Yield the entries of a folder tree on this machine, placed below ``at`` in the image.

    Files get mode 0755 if their owner may run them, else 0644; symlinks stay symlinks.

    Raises:
        ImageError: something in it is neither a file, a folder nor a symlink.
    """
    prefix = f"{at}/" if at else ""
    with os.scandir(folder) as found:
        for each in sorted(found, key=lambda each: each.name):
            path = f"{prefix}{each.name}"
            if each.is_symlink():
                # Path.readlink would normalize the target.
                yield Entry(path, Symlink(os.readlink(each.path)))  # noqa: PTH115
            elif each.is_dir():
                yield Entry(path, Folder())
                yield from walk(Path(each.path), at=path)
            elif each.is_file():
                runs = each.stat().st_mode & 0o100
                yield Entry(path, Path(each.path), 0o755 if runs else FILE_MODE)
            else:
                raise ImageError(f"{each.path} is neither a file, a folder nor a symlink.")


def arrange(entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries sorted, with the folders that contain them added.

    Raises:
        ImageError: a path appears twice, or is below something that is not a folder.
    """
    known: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in known:
            raise ImageError(f"{entry.path} is in the layer twice.")
        known[entry.path] = entry
    for path in list(known):
        for parent in _above(path):
            above = known.setdefault(parent, Entry(parent, Folder()))
            if not isinstance(above.source, Folder):
                raise ImageError(f"{parent} is a file or a symlink, but has entries inside it.")
    return [known[path] for path in sorted(known, key=lambda path: path.split("/"))]


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _check_path(path: str) -> None:
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ImageError(
            f"{path!r} is not a valid path in an image.",
            remedy="a relative one, such as 'opt/app/main.py'",
        )
    _check_text(path, path)
    if any(part.startswith(WHITEOUT) for part in parts):
        raise ImageError(
            f"{path} would delete a file: engines read {WHITEOUT}… names as deletions."
        )


def _check_target(path: str, target: str) -> None:
    if not target:
        raise ImageError(f"{path} is a symlink to nothing.")
    _check_text(path, target)


def _check_text(path: str, text: str) -> None:
    if "\0" in text or not _encodes(text):
        raise ImageError(f"{path!r} has a name or target that is not UTF-8 text.")


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
