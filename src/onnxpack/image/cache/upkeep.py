"""List, check and remove the parts of a cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from onnxpack.errors import ImageError
from onnxpack.image.cache.cache import LOCK, Cache
from onnxpack.image.cache.leftovers import leftovers, remove, remove_leftovers
from onnxpack.image.cache.lock import EXCLUSIVE, open_lock, try_lock
from onnxpack.image.cache.note import SUFFIX, Note
from onnxpack.image.cache.tree import KIND, check_tree, read_tree
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import check_digest, hex_of
from onnxpack.oci.document import strings
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.store.blobs import FOLDER
from onnxpack.oci.store.read import verify_layer

Kind: TypeAlias = Literal["tree", "layer", "fact", "blob", "leftover"]
_KINDS: dict[str, Kind] = {KIND: "tree", "layers": "layer", "facts": "fact", FOLDER: "blob"}


@dataclass(frozen=True, slots=True)
class Part:
    """A tree, note or blob of a cache, or a leftover.

    Attributes:
        kind: ``tree``: an unpacked base or wheels; ``layer``: the note of a layer; ``blob``: the
            content of layers; ``fact``: what was found in a base; or ``leftover``: what a killed
            build left, or what was replaced.
        name: key or digest of the part.
        size: bytes on the disk.
        used: time of the last use, in seconds since 1970.
    """

    kind: Kind
    name: str
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class Pruned:
    """The number of parts that were removed, and their size in bytes."""

    parts: int
    size: int


def list_parts(cache: Cache) -> list[Part]:
    """Return the parts of a cache, those used last first."""
    root = cache.root
    found = [
        _part(kind, path, _named(root, path) if kind == "tree" else None)
        for kind, path in _files(root)
    ]
    return sorted(found, key=lambda part: (-part.used, part.kind, part.name))


def verify_cache(cache: Cache) -> tuple[int, list[str]]:
    """Read every part of a cache; return their number, and a line about each that is damaged."""
    faults, number = [], 0
    if cache.root.is_dir():
        cache.folder()  # nothing is removed meanwhile
    for kind, path in _files(cache.root):
        if kind == "leftover":
            continue
        number += 1
        try:
            _verify(cache, kind, path)
        except ImageError as exc:
            faults.append(exc.message)
    return number, faults


def prune_cache(cache: Cache, *, unused_since: float | None = None) -> Pruned:
    """Remove leftovers, and parts that were last used before a time.

    Args:
        cache: the cache; this process must not use it otherwise.
        unused_since: time in seconds since 1970; None removes only leftovers.

    Raises:
        ImageError: another process uses the cache, or this cannot be known.
    """
    root = cache.root
    if not root.is_dir():
        return Pruned(0, 0)
    try:
        handle = open_lock(root / LOCK)
    except OSError as exc:
        raise ImageError(f"{root / LOCK} cannot be opened: {exc.strerror or exc}.") from exc
    try:
        if not _is_unused(handle, root):
            raise ImageError(
                f"{root} is in use by another process, so nothing was removed.",
                remedy="onnxpack cache prune   # when no image is being built",
            )
        return _prune(root, unused_since)
    finally:
        os.close(handle)


def _is_unused(handle: int, root: Path) -> bool:
    try:
        return try_lock(handle, EXCLUSIVE)
    except OSError as exc:
        raise ImageError(
            f"{root} cannot be locked ({exc.strerror or exc}), so whether a build uses it is "
            "unknown."
        ) from exc


def _prune(root: Path, unused_since: float | None) -> Pruned:
    removed: list[Part] = []

    def drop(kind: Kind, path: Path) -> None:
        also = _named(root, path) if kind == "tree" else None
        removed.append(_part(kind, path, also))
        remove(path)
        if also is not None:
            remove(also)

    if unused_since is not None:
        for kind, path in _files(root):
            if kind not in ("leftover", "blob") and _used(path) < unused_since:
                drop(kind, path)
        # A blob is used when a note that names it is used; others were pulled.
        named = {_named(root, path) for kind, path in _files(root) if kind == "layer"}
        for kind, path in _files(root):
            if kind == "blob" and path not in named and _used(path) < unused_since:
                drop(kind, path)
    for path in list(leftovers(root)):
        drop("leftover", path)
    remove_leftovers(root)
    return Pruned(len(removed), sum(part.size for part in removed))


def _verify(cache: Cache, kind: Kind, path: Path) -> None:
    if kind == "blob":
        digest = check_digest(f"sha256:{path.name}", what=f"the name of {path}")
        size = _size(path)
        verify_layer(Layer(path, Descriptor("", digest, size), digest))
        return
    content = Note(path).read()
    if kind == "fact":
        strings(content, what=str(path))
    elif kind == "tree" and (found := read_tree(cache.root, content)) is not None:
        check_tree(found)
    elif kind == "layer":
        told = Descriptor.from_json((content or {}).get("descriptor"), what=str(path))
        if (size := _size(cache.blob(told.digest))) not in (0, told.size):
            raise ImageError(f"{cache.blob(told.digest)} has {size} bytes, expected {told.size}.")


def _files(root: Path) -> Iterator[tuple[Kind, Path]]:
    left = set(leftovers(root))
    for folder, kind in _KINDS.items():
        if (root / folder).is_dir():
            for path in sorted((root / folder).iterdir()):
                if path not in left and (kind == "blob" or path.suffix == SUFFIX):
                    yield kind, path
    for path in sorted(left):
        yield "leftover", path


def _named(root: Path, note: Path) -> Path | None:
    """Return the folder or the blob that a note names; None if it names none, or is damaged."""
    try:
        content = Note(note).read()
        if note.parent.name == KIND:
            found = read_tree(root, content)
            return found.path if found else None
        told = Descriptor.from_json((content or {}).get("descriptor"), what=str(note))
    except ImageError:
        return None
    return root / FOLDER / hex_of(told.digest)


def _part(kind: Kind, path: Path, also: Path | None) -> Part:
    size = _size(path) + (_size(also) if also else 0)
    return Part(kind, path.name.removesuffix(SUFFIX), size, _used(path))


def _used(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return 0


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder; what is missing has none."""
    if path.is_symlink() or not path.exists():
        return 0
    if path.is_dir():
        return sum(
            Path(place, name).lstat().st_size for place, _, names in os.walk(path) for name in names
        )
    return path.stat().st_size
