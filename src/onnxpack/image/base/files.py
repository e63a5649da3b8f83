"""The files of an image as a container sees them: its layers on top of each other, without content.

Whiteouts hide what lower layers have, as the OCI's image specification says, and symbolic links
lead no further than the root of the image.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from onnxpack.errors import ImageError
from onnxpack.oci.layer.entry import WHITEOUT
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.layer.members import MAX_MEMBERS, opened_tar

MAX_LINKS = 40
"""Symbolic links on the way to one file; as many as Linux follows."""
MAX_DEPTH = 256
"""Folders above a file; a real file system has no room for many more in one path."""
OPAQUE = f"{WHITEOUT}.wh..opq"
"""The file that hides all that lower layers have in its folder."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is not a folder.

    Attributes:
        kind: ``file``, ``link``, or another word for it.
        mode: its permissions.
        owner: user and group.
        target: where a link leads.
    """

    kind: str
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    target: str = ""


Folder: TypeAlias = "dict[str, Folder | Leaf]"


def merged(layers: Sequence[Layer]) -> Folder:
    """Return the root folder of an image.

    Raises:
        ImageError: a layer is not a tar, has too many files, or a path outside of the image.
    """
    root: Folder = {}
    room = MAX_MEMBERS
    for layer in layers:
        members = list(islice(_members(layer), room + 1))
        room -= len(members)
        if room < 0:
            raise ImageError(f"the base has more than {MAX_MEMBERS} files.")
        for path, _ in members:  # they hide lower layers only, wherever they are in the tar
            _hide(root, path)
        for path, leaf in members:
            if not path[-1].startswith(WHITEOUT):
                _put(root, path, leaf)
    return root


def find(root: Folder, path: str) -> Folder | Leaf | None:
    """Return what a path leads to, over symbolic links; None if it leads nowhere."""
    waiting, at, links = _parts(path)[::-1], [root], 0
    while waiting:
        name = waiting.pop()
        if name == "..":
            at = at[:-1] or [root]
            continue
        found = at[-1].get(name)
        if isinstance(found, dict):
            at.append(found)
        elif isinstance(found, Leaf) and found.kind == "link" and links < MAX_LINKS:
            links += 1
            at = [root] if found.target.startswith("/") else at
            waiting += _parts(found.target)[::-1]
        else:
            return None if waiting else found
    return at[-1]


def _members(layer: Layer) -> Iterator[tuple[list[str], Leaf | None]]:
    """Yield the path of each member, and what it is unless it is a folder."""
    what = "a layer of the base"
    with layer.unpacked() as plain, opened_tar(plain, "r|", what=what) as members:
        for member in members:
            path = _parts(member.name)
            if ".." in path or len(path) > MAX_DEPTH:
                raise ImageError(
                    f"{what} has the path {member.name[:200]!r}, expected one inside of it and at "
                    f"most {MAX_DEPTH} folders deep."
                )
            if path:
                yield path, None if member.isdir() else _leaf(member)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _hide(root: Folder, path: list[str]) -> None:
    *above, name = path
    if not name.startswith(WHITEOUT):
        return
    folder = find(root, "/".join(above))
    if isinstance(folder, dict):
        folder.clear() if name == OPAQUE else folder.pop(name.removeprefix(WHITEOUT), None)


def _put(root: Folder, path: list[str], leaf: Leaf | None) -> None:
    *above, name = path
    folder = _folder(root, above)
    if leaf is not None and leaf.kind == "hard link":
        same = find(root, leaf.target)
        leaf = same if isinstance(same, Leaf) else leaf
    if leaf is not None:
        folder[name] = leaf
    elif not isinstance(folder.get(name), dict):
        folder[name] = {}


def _folder(root: Folder, path: list[str]) -> Folder:
    """Return the folder of a path; folders that a layer does not list are made."""
    found = find(root, "/".join(path))
    if isinstance(found, dict):
        return found
    made: Folder = {}
    _folder(root, path[:-1])[path[-1]] = made
    return made


def _leaf(member: tarfile.TarInfo) -> Leaf:
    if member.issym():
        return Leaf("link", target=member.linkname)
    if member.islnk():
        return Leaf("hard link", target=member.linkname)
    kind = "file" if member.isfile() else "device"
    return Leaf(kind, member.mode, (member.uid, member.gid))
