"""Read the members of a tar that may be hostile, in bounded memory.

``tarfile`` (CPython 3.11 to 3.14) keeps every member and its extended headers, reads each extended
header whole, calls itself for the next one, and reads the map of a sparse file to its end. A tar
that shrinks to 1 MB by compression takes gigabytes so.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Literal, NoReturn

from onnxpack.errors import ImageError
from onnxpack.oci.digest import CHUNK

MAX_HEADER = 2**20
"""Most bytes of an extended header, and of all global fields together."""
MAX_CHAIN = 8
"""Most headers of one member: usually at most four, a global and an extended one and two names."""
MAX_GLOBAL = 100
"""Most global fields: ``tarfile`` sets each of them on each member."""
MAX_NAME = 4096
"""Most characters of a name or of a link's target: Linux takes no longer path."""
MAX_MEMBERS = 1_000_000
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class Member(tarfile.TarInfo):
    """A member whose headers are bounded; sparse files are refused."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> Member:
        """Check the size of each header before tarfile reads what it announces."""
        found = super().frombuf(buf, encoding or "utf-8", errors)
        if found.size < 0 or (found.type in _EXTENDED and found.size > MAX_HEADER):
            raise ImageError(
                f"a header of the tar has {found.size} bytes, expected 0 to {MAX_HEADER}."
            )
        if found.type == tarfile.GNUTYPE_SPARSE:
            _refuse_sparse()
        return found

    @classmethod
    def fromtarfile(cls, tar: Any) -> Member:
        """Read the next member; tarfile calls this within itself after an extended header."""
        tar.chain += 1
        try:
            if tar.chain > MAX_CHAIN:
                raise ImageError(f"a member of the tar has more than {MAX_CHAIN} headers.")
            found = super().fromtarfile(tar)
        finally:
            tar.chain -= 1
        fields = tar.pax_headers
        size = sum(len(name) + len(value) for name, value in fields.items())
        if len(fields) > MAX_GLOBAL or size > MAX_HEADER:
            raise ImageError(
                f"the tar has {len(fields)} global fields of {size} characters, expected at most "
                f"{MAX_GLOBAL} of {MAX_HEADER}."
            )
        longest = max(len(found.name), len(found.linkname))
        if longest > MAX_NAME:
            raise ImageError(
                f"a name in the tar has {longest} characters, expected at most {MAX_NAME}."
            )
        return found

    # What tarfile calls for the three forms of sparse files in extended headers.
    def _proc_gnusparse_00(self, *_: Any) -> NoReturn:
        _refuse_sparse()

    def _proc_gnusparse_01(self, *_: Any) -> NoReturn:
        _refuse_sparse()

    def _proc_gnusparse_10(self, *_: Any) -> NoReturn:
        _refuse_sparse()


def _refuse_sparse() -> NoReturn:
    raise ImageError("the tar has a sparse file, which no layer of an image has.")


class Bounded(tarfile.TarFile):
    """A tar whose headers are bounded; its members are kept, so it must not be compressed."""

    tarinfo = Member
    chain = 0
    """How many headers of the current member were read."""


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
