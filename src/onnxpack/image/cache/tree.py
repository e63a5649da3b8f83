"""Folders in the cache: complete, never changed, and checked before they are used."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnxpack.errors import ImageError
from onnxpack.oci.digest import check_digest, digest_stream
from onnxpack.oci.layer.entry import Symlink, walk
from onnxpack.oci.layer.tarball import opened

if TYPE_CHECKING:
    from onnxpack.image.cache.cache import Cache

KIND = "trees"
_FOLDER = re.compile(r"[\w-]+\.[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Found:
    """The folder that a note names, and the digest that it had when it was complete."""

    path: Path
    digest: str


class Tree:
    """The folder of a key, which is made when it is first needed.

    Each folder has a name of its own, and the key's note names the current one. So a folder that
    another process reads is never replaced; it is removed when no process uses the cache.

    Args:
        cache: cache that holds the folder.
        key: key of everything that the folder is made from.
        make: function that fills an empty folder; what it creates beside the folder is removed.
    """

    def __init__(self, cache: Cache, key: str, make: Callable[[Path], None]) -> None:
        self._cache = cache
        self._key = key
        self._make = make
        self._note = cache.note(KIND, key)

    @property
    def digest(self) -> str:
        """The digest of the complete folder. The folder is made if needed, but not read."""
        return (self._named() or self._made(self._named)).digest

    def path(self) -> Path:
        """Return the folder after a check of its digest; a damaged one is made again."""
        return (self._checked() or self._made(self._checked)).path

    def renew(self) -> None:
        """Make the folder again, even if there is a good one."""
        self._made(None)

    def _named(self, *, quiet: bool = False) -> Found | None:
        try:
            found = read_tree(self._cache.root, self._note.read())
        except ImageError as exc:
            self._cache.report(exc, "the folder is made again", quiet=quiet)
            return None
        if found is None or not found.path.is_dir():
            return None
        self._note.touch()
        return found

    def _checked(self, *, quiet: bool = False) -> Found | None:
        found = self._named(quiet=quiet)
        if found is None or found.path.name in self._cache.checked:
            return found
        try:
            check_tree(found)
        except ImageError as exc:
            self._cache.report(exc, "it is made again", quiet=quiet)
            return None
        self._cache.checked.add(found.path.name)
        return found

    def _made(self, known: Callable[..., Found | None] | None) -> Found:
        with self._cache.alone(f"{KIND}-{self._key}"):
            # Another process may have made it meanwhile.
            if known is not None and (found := known(quiet=True)) is not None:
                return found
            with self._cache.work() as work:
                made = work / "tree"
                made.mkdir()
                self._make(made)
                digest = digest_tree(made)
                to = self._cache.folder(KIND) / f"{self._key}.{secrets.token_hex(8)}"
                made.rename(to)
                self._note.write({"folder": to.name, "digest": digest})
        self._cache.checked.add(to.name)
        return Found(to, digest)


def read_tree(root: Path, note: dict[str, object] | None) -> Found | None:
    """Return the folder that a note names; None without a note.

    Raises:
        ImageError: the note does not name a folder of the cache and a digest.
    """
    if note is None:
        return None
    name = note.get("folder")
    if not isinstance(name, str) or not _FOLDER.fullmatch(name):
        raise ImageError(f"a note of {root / KIND} names {name!r}, which is not a folder there.")
    return Found(root / KIND / name, check_digest(note.get("digest")))


def check_tree(found: Found) -> None:
    """Read a folder and check its digest.

    Raises:
        ImageError: the folder cannot be read, or has another digest.
    """
    try:
        digest = digest_tree(found.path)
    except OSError as exc:
        raise ImageError(f"{found.path} cannot be read: {exc.strerror or exc}.") from exc
    except ImageError as exc:
        raise ImageError(f"{found.path}: {exc.message}") from exc
    if digest != found.digest:
        raise ImageError(f"{found.path} has the digest {digest}, expected {found.digest}.")


def digest_tree(folder: Path) -> str:
    """Return the digest of all that a layer would contain: names, contents, modes and targets.

    Raises:
        ImageError: something in it is neither a file, a folder nor a symlink.
    """
    total = hashlib.sha256()
    for entry in walk(folder):
        if isinstance(entry.source, Path):
            with opened(entry.source) as (source, _):
                what = digest_stream(source)[0]
        else:
            what = entry.source.target if isinstance(entry.source, Symlink) else ""
        about = (type(entry.source).__name__, entry.path, f"{entry.permissions:o}", what)
        total.update("\0".join(about).encode() + b"\0\n")
    return f"sha256:{total.hexdigest()}"
