"""Read the members of a tar that may be hostile, in bounded memory.

``tarfile`` (CPython 3.11 to 3.14) keeps every member and its extended headers, reads each extended
header whole, calls itself for the next one, and reads the map of a sparse file to its end. A tar
that shrinks to 1 MB by compression takes gigabytes so. What is bounded here is what it reads for
one member: newer releases call private methods of ``TarInfo``, which nobody can override for good.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Literal

from onnxpack.errors import ImageError
from onnxpack.oci.digest import CHUNK

MAX_HEADER = 2**20
"""Most bytes of all headers of one member, and of all global fields together."""
MAX_GLOBAL = 100
"""Most global fields: ``tarfile`` sets each of them on each member."""
MAX_NAME = 4096
"""Most characters of a name or of a link's target: Linux takes no longer path."""
MAX_MEMBERS = 1_000_000


class _Metered:
    """A file that gives no more bytes than ``left``; as many as are asked for if it is None."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.left: int | None = None

    def read(self, size: int = -1) -> Any:
        if self.left is not None:
            if not 0 <= size <= self.left:
                raise ImageError(
                    f"a header of the tar takes {size} bytes, expected 0 to {self.left}."
                )
            self.left -= size
        return self._source.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class Bounded(tarfile.TarFile):
    """A tar whose headers are bounded; its members are kept, so it must not be compressed."""

    def next(self) -> tarfile.TarInfo | None:
        """Return the next member, or None at the end.

        Raises:
            ImageError: its headers, its name or the global fields are too large, or it is sparse.
        """
        if not isinstance(self.fileobj, _Metered):
            self.fileobj = _Metered(self.fileobj)
        self.fileobj.left = MAX_HEADER
        try:
            found = super().next()
        except RecursionError as exc:  # tarfile calls itself for each extended header
            raise ImageError("a member of the tar has too many headers.") from exc
        finally:
            self.fileobj.left = None
        if found is not None:
            _check_member(found)
            _check_fields(self.pax_headers)
        return found


def _check_member(member: tarfile.TarInfo) -> None:
    longest = max(len(member.name), len(member.linkname))
    if longest > MAX_NAME:
        raise ImageError(
            f"a name in the tar has {longest} characters, expected at most {MAX_NAME}."
        )
    if member.issparse():
        raise ImageError("the tar has a sparse file, which no layer of an image has.")
    if member.size < 0:
        raise ImageError(f"a member of the tar has {member.size} bytes.")


def _check_fields(fields: Any) -> None:
    size = sum(len(name) + len(value) for name, value in fields.items())
    if len(fields) > MAX_GLOBAL or size > MAX_HEADER:
        raise ImageError(
            f"the tar has {len(fields)} global fields of {size} characters, expected at most "
            f"{MAX_GLOBAL} of {MAX_HEADER}."
        )


class Members(Bounded):
    """A tar whose members are read one after the other, once, and not kept."""

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """Yield each member of the tar, in its order.

        Raises:
            ImageError: there are more than ``MAX_MEMBERS``.
        """
        count = 0
        while (member := self.next()) is not None:
            self.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            count += 1
            if count > MAX_MEMBERS:
                raise ImageError(f"the tar has more than {MAX_MEMBERS} members.")
            yield member


@contextmanager
def opened_tar(
    source: BinaryIO | io.RawIOBase, mode: Literal["r:", "r|"], *, what: str
) -> Iterator[Members]:
    """Open an uncompressed tar.

    Args:
        source: the tar's bytes.
        mode: ``r:`` if the source can seek, else ``r|``.
        what: the tar, for messages.

    Raises:
        ImageError: it is not a tar, or a header takes too much.
    """
    try:
        with Members.open(fileobj=source, mode=mode, bufsize=CHUNK) as tar:
            yield tar
    except (tarfile.TarError, ValueError, OverflowError) as exc:
        raise ImageError(f"{what} is not a tar: {exc}.") from exc
