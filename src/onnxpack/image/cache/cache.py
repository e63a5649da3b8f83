"""Cache the parts of images under a key of everything that a part is made from."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from onnxpack.errors import ImageError
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import hex_of
from onnxpack.oci.document import decode, encode, strings
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.store.blobs import FOLDER


class Cache:
    """A folder of trees and layers, which are complete and never change.

    Args:
        root: the folder; None is ``onnxpack`` in the user's cache (XDG_CACHE_HOME).
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or _default()

    def tree(self, key: str, make: Callable[[Path], None], *, anew: bool = False) -> Path:
        """Return the folder of a key; ``make`` fills a new one if there is none yet.

        Args:
            key: key of the folder.
            make: function that fills an empty folder.
            anew: make a new folder in any case, which replaces the old one.
        """
        found = self.root / "trees" / key
        if found.is_dir() and not anew:
            return found
        made = self._fresh("trees", key)
        try:
            made.mkdir()
            make(made)
            if anew and found.is_dir():
                found.rename(made.with_suffix(".old"))
            _move(made, found)
        finally:
            shutil.rmtree(made, ignore_errors=True)
            shutil.rmtree(made.with_suffix(".old"), ignore_errors=True)
        return found

    def layer(self, key: str, make: Callable[[Path], Layer]) -> Layer:
        """Return the layer of a key; ``make`` writes it to a file if there is none yet."""
        note = self.root / "layers" / f"{key}.json"
        if (found := self._known(note)) is not None:
            return found
        made = self._fresh("layers", key)
        try:
            layer = make(made)
            blob = self.blob(layer.descriptor.digest)
            blob.parent.mkdir(parents=True, exist_ok=True)
            made.replace(blob)
            fresh = self._fresh("layers", key)
            fresh.write_bytes(
                encode({"descriptor": layer.descriptor.to_json(), "diff_id": layer.diff_id})
            )
            fresh.replace(note)
        except OSError as exc:
            raise ImageError(f"{self.root} cannot be written: {exc.strerror or exc}.") from exc
        finally:
            made.unlink(missing_ok=True)
        return Layer(blob, layer.descriptor, layer.diff_id)

    def fact(self, key: str, make: Callable[[], dict[str, str]]) -> dict[str, str]:
        """Return facts that were found once and do not change; ``make`` finds them."""
        note = self.root / "facts" / f"{key}.json"
        if note.is_file():
            return strings(decode(note.read_bytes(), what=str(note)), what=str(note))
        found = make()
        fresh = self._fresh("facts", key)
        fresh.write_bytes(encode(found))
        fresh.replace(note)
        return found

    def blob(self, digest: str) -> Path:
        """Return the path for the blob of a digest, existing or not; pulls store layers there."""
        return self.root / FOLDER / hex_of(digest)

    def _known(self, note: Path) -> Layer | None:
        try:
            found = decode(note.read_bytes(), what=str(note))
        except FileNotFoundError:
            return None
        descriptor = Descriptor.from_json(found.get("descriptor"), what=str(note))
        blob = self.blob(descriptor.digest)
        # A blob that was deleted, or truncated by a full disk, is made again.
        if not blob.is_file() or blob.stat().st_size != descriptor.size:
            return None
        return Layer(blob, descriptor, str(found.get("diff_id")))

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
        return folder

    def _fresh(self, kind: str, key: str) -> Path:
        return self.folder(kind) / f".{key}.{secrets.token_hex(6)}"


@contextmanager
def cold_cache(cache: Cache) -> Iterator[Cache]:
    """Yield a temporary cache with the bases of another cache, but not its layers and wheels."""
    with TemporaryDirectory(prefix=".cold-", dir=cache.folder()) as folder:
        root = Path(folder)
        (root / "trees").mkdir()
        for tree in (cache.root / "trees").glob("debian-*"):
            (root / "trees" / tree.name).symlink_to(tree)
        (root / "facts").symlink_to(cache.folder("facts"))
        blobs = root / FOLDER
        blobs.mkdir(parents=True)
        for blob in (cache.root / FOLDER).glob("*"):  # includes the layers of the bases
            (blobs / blob.name).hardlink_to(blob)
        yield Cache(root)


def key_of(**facts: Any) -> str:
    """Return a cache key for all facts that something is made from."""
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _move(made: Path, to: Path) -> None:
    try:
        made.rename(to)
    except OSError:
        if not to.is_dir():  # otherwise another process made the same folder first
            raise


def _default() -> Path:
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "onnxpack"
