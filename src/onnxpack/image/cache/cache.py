"""Keep the parts of images under a key of everything that a part is made from."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from onnxpack.errors import ImageError
from onnxpack.image.cache.leftovers import remove_leftovers
from onnxpack.image.cache.lock import EXCLUSIVE, SHARED, locked, open_lock, try_lock, wait_for_lock
from onnxpack.image.cache.note import SUFFIX, Note
from onnxpack.image.cache.tree import Tree
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import check_digest, hex_of
from onnxpack.oci.document import strings
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.store.blobs import FOLDER
from onnxpack.oci.store.read import check_blob

FORMAT = "v2"
"""Name of the folder: releases with other notes neither read nor remove what is in it."""
LOCK, LOCKS, WORK = "lock", "locks", "work"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Cache:
    """A folder of trees, layers and facts, which are complete and never change.

    A part that is damaged is never used: it is reported and made again. While the object lives,
    no process removes anything from the folder.

    Args:
        root: the folder; None is ``onnxpack/v2`` in the user's cache (XDG_CACHE_HOME).
        told: called with a line about each damaged part; None issues a warning.
    """

    def __init__(
        self, root: Path | None = None, *, told: Callable[[str], object] | None = None
    ) -> None:
        self.root = root or _default()
        self.checked: set[str] = set()
        self._told = told or _warn
        self._held = False

    def tree(self, key: str, make: Callable[[Path], None]) -> Tree:
        """Return the folder of a key; ``make`` fills a new one when it is needed."""
        return Tree(self, key, make)

    def layer(self, key: str, make: Callable[[Path], Layer]) -> Layer:
        """Return the layer of a key; ``make`` writes it to a file if there is none that is good.

        What ``make`` creates beside that file is removed.
        """
        note = self.note("layers", key)
        if (found := self._known(note)) is not None:
            return found
        with self.alone(f"layers-{key}"):
            if (found := self._known(note, quiet=True)) is not None:
                return found
            with self.work() as work:
                layer = make(work / "layer")
                self.folder(FOLDER)
                blob = self.blob(layer.descriptor.digest)
                (work / "layer").replace(blob)
                note.write({"descriptor": layer.descriptor.to_json(), "diff_id": layer.diff_id})
        self.checked.add(layer.descriptor.digest)
        return Layer(blob, layer.descriptor, layer.diff_id)

    def fact(self, key: str, make: Callable[[], dict[str, str]]) -> dict[str, str]:
        """Return facts that were found once and do not change; ``make`` finds them."""
        note = self.note("facts", key)
        try:
            if (content := note.read()) is not None:
                note.touch()
                return strings(content, what=str(note.path))
        except ImageError as exc:
            self.report(exc, "it is made again")
        found = make()
        with self._written():
            note.write(found)
        return found

    def blob(self, digest: str) -> Path:
        """Return the path for the blob of a digest, existing or not; pulls store layers there."""
        return self.root / FOLDER / hex_of(digest)

    def touch(self, layers: Iterable[Layer]) -> None:
        """Note that layers without a note, which were pulled, are used now."""
        for layer in layers:
            with suppress(OSError):  # the cache can be read-only
                os.utime(layer.path)

    def note(self, kind: str, key: str) -> Note:
        """Return the note of a key, existing or not."""
        return Note(self.folder(kind) / f"{key}{SUFFIX}")

    def report(self, damage: ImageError, then: str, *, quiet: bool = False) -> None:
        """Report a damaged part, and what is done about it, unless it was reported before."""
        if not quiet:
            self._told(f"the cache is damaged: {damage.message.removesuffix('.')}; {then}")

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Wait until no other process makes the same part, and keep others waiting meanwhile."""
        with self._written(), locked(self.folder(LOCKS) / name):
            yield

    @contextmanager
    def work(self) -> Iterator[Path]:
        """Yield a new folder on the cache's file system; the folder is removed in any case.

        Raises:
            ImageError: the cache cannot be written.
        """
        with self._written():
            folder = Path(mkdtemp(dir=self.folder(WORK)))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def folder(self, kind: str = "") -> Path:
        """Return the folder of a kind of parts, or the cache itself; it is created if needed.

        Raises:
            ImageError: the folder cannot be created.
        """
        folder = self.root / kind
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise ImageError(
                f"the cache {folder} cannot be made: {exc.strerror}.",
                remedy="set XDG_CACHE_HOME to a folder that can be written",
            ) from exc
        self._hold()
        return folder

    def _known(self, note: Note, *, quiet: bool = False) -> Layer | None:
        try:
            if (content := note.read()) is None:
                return None
            descriptor = Descriptor.from_json(content.get("descriptor"), what=str(note.path))
            diff_id = check_digest(content.get("diff_id"), what=f"the diff_id in {note.path}")
            found = Layer(self.blob(descriptor.digest), descriptor, diff_id)
            if not os.path.lexists(found.path):
                return None
            if descriptor.digest not in self.checked:
                check_blob(found)
        except ImageError as exc:
            self.report(exc, "the layer is made again", quiet=quiet)
            return None
        self.checked.add(descriptor.digest)
        note.touch()
        return found

    def _hold(self) -> None:
        """Keep other processes from removing anything, after removing what killed ones left."""
        if self._held:
            return
        self._held = True
        # Without a lock, as in a cache that is read-only, builds work, and nothing is removed.
        with suppress(OSError):
            handle = open_lock(self.root / LOCK)
            weakref.finalize(self, os.close, handle)
            if try_lock(handle, EXCLUSIVE):
                remove_leftovers(self.root)
            wait_for_lock(handle, SHARED)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            full = exc.errno in _FULL
            if not (full or exc.filename is None or self.root in Path(exc.filename).parents):
                raise  # about a file elsewhere
            raise ImageError(
                f"the cache {self.root} cannot be written: {exc.strerror or exc}.",
                remedy="onnxpack cache prune --days 30"
                if full
                else "set XDG_CACHE_HOME to a folder that can be written",
            ) from exc


def key_of(**facts: Any) -> str:
    """Return a cache key for all facts that something is made from."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=2)


def _default() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "onnxpack" / FORMAT
