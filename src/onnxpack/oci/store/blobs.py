"""Find blobs in a layout's folder or inside a tar archive."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from onnxpack.errors import ImageError
from onnxpack.oci.descriptor import Descriptor
from onnxpack.oci.digest import digest_of, hex_of
from onnxpack.oci.document import MAX_BYTES
from onnxpack.oci.layer.layer import Layer
from onnxpack.oci.layer.members import opened_tar
from onnxpack.oci.layer.tarball import opened

FOLDER = "blobs/sha256"
MAX_MEMBERS = 100_000


@dataclass(frozen=True, slots=True)
class Place:
    """A range of bytes in a file."""

    path: Path
    offset: int
    size: int

    def read(self) -> bytes:
        """Return the bytes, if they are at most ``MAX_BYTES``.

        Raises:
            ImageError: there are more bytes, or the file cannot be read.
        """
        if self.size > MAX_BYTES:
            raise ImageError(f"a document in {self.path} has more than {MAX_BYTES} bytes.")
        with opened(self.path, flags=os.O_NOFOLLOW) as (source, _):
            source.seek(self.offset)
            return source.read(self.size)


class Blobs(Protocol):
    """Finds files by name, and so blobs by digest."""

    def find(self, name: str) -> Place | None:
        """Return where the file of this name is stored, or None if there is none.

        Raises:
            ImageError: the entry is not a regular file.
        """

    def __str__(self) -> str: ...


class FolderBlobs:
    """Finds the files of a layout's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def find(self, name: str) -> Place | None:
        """Return where the file is stored; a symlink is refused."""
        path = self._folder / name
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise ImageError(f"{path} cannot be read: {exc.strerror or exc}.") from exc
        if not stat.S_ISREG(found.st_mode):
            raise ImageError(f"{path} is not a regular file.")
        return Place(path, 0, found.st_size)


class ArchiveBlobs:
    """Finds the members of a tar, which are read from the tar itself."""

    def __init__(self, path: Path, places: Mapping[str, Place], links: Mapping[str, str]) -> None:
        self._path = path
        self._places = places
        self._links = links

    def __str__(self) -> str:
        return str(self._path)

    @classmethod
    def of(cls, path: Path) -> ArchiveBlobs:
        """List the members of a tar.

        Raises:
            ImageError: the file is not a tar, or has hostile members.
        """
        places: dict[str, Place] = {}
        links: dict[str, str] = {}
        with opened(path) as (source, size), opened_tar(source, "r:", what=str(path)) as tar:
            for member in tar:
                if len(places) + len(links) > MAX_MEMBERS:
                    raise ImageError(f"{path} has more than {MAX_MEMBERS} members.")
                name = _name(member, path)
                if name in places or name in links:
                    raise ImageError(f"{path} has {name} twice.")
                if member.isreg():
                    places[name] = _place(member, path, size)
                elif member.issym():
                    links[name] = os.path.normpath(f"{name}/../{member.linkname}")
                elif not member.isdir():
                    raise ImageError(f"{path} has {name}, which is not a file.")
        return cls(path, places, links)

    def find(self, name: str) -> Place | None:
        """Return where the member is stored; old ``docker save`` links layers that are alike."""
        return self._places.get(self._links.get(name, name))


def blob(blobs: Blobs, descriptor: Descriptor, *, what: str) -> Place:
    """Return where a blob is stored.

    Raises:
        ImageError: the blob is missing, or has another size.
    """
    found = blobs.find(f"{FOLDER}/{hex_of(descriptor.digest)}")
    if found is None:
        raise ImageError(f"{blobs} lacks {what}, {descriptor.digest}.")
    if found.size != descriptor.size:
        raise ImageError(
            f"{what} in {blobs} has {found.size} bytes, but {descriptor.size} were announced."
        )
    return found


def document(blobs: Blobs, descriptor: Descriptor, *, what: str) -> bytes:
    """Return the bytes of a manifest, an index or a config, after checking the digest.

    Raises:
        ImageError: the document is missing, too big, or has another digest.
    """
    content = blob(blobs, descriptor, what=what).read()
    if digest_of(content) != descriptor.digest:
        raise ImageError(
            f"{what} in {blobs} has the digest {digest_of(content)}, not {descriptor.digest}."
        )
    return content


def layer(blobs: Blobs, descriptor: Descriptor, diff_id: str, *, what: str) -> Layer:
    """Return a layer that refers to the blob where it is stored.

    Raises:
        ImageError: the layer's blob is missing, or has another size.
    """
    found = blob(blobs, descriptor, what=what)
    return Layer(found.path, descriptor, diff_id, found.offset)


def _name(member: tarfile.TarInfo, path: Path) -> str:
    name = member.name.removeprefix("./")
    if name.startswith("/") or ".." in name.split("/"):
        raise ImageError(f"{path} has a member that would escape: {member.name!r}.")
    return name


def _place(member: tarfile.TarInfo, path: Path, size: int) -> Place:
    if member.offset_data + member.size > size:
        raise ImageError(f"{path} ends within {member.name}.")
    return Place(path, member.offset_data, member.size)
