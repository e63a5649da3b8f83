"""Refuse zip archives that unpack to far more than they hold."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile, ZipFile

from onnxpack.errors import UsageError

EXPANSION, FREE = 100, 2**26
"""An archive may unpack to ``FREE`` bytes and ``EXPANSION`` times its own size. Weights shrink to
half at best; zeros shrink to a thousandth (RFC 1951)."""
MAX_MEMBERS = 2**20


def check_zip(path: Path, *, error: type[UsageError]) -> None:
    """Check the sizes that the members of an archive announce; a file of another kind passes.

    ``zipfile`` and PyTorch read no more of a member than it announces. Members may overlap, so the
    sum of all is compared with the size of the file.

    Raises:
        UsageError: the archive would unpack to too much, as the kind of error that is given.
    """
    try:
        held = path.stat().st_size
        with ZipFile(path) as archive:
            sizes = [member.file_size for member in archive.infolist()]
    except (OSError, BadZipFile, NotImplementedError, ValueError):
        return  # the readers report it
    limit = FREE + EXPANSION * held
    if sum(sizes) > limit or len(sizes) > MAX_MEMBERS:
        raise error(
            f"{path} has {held} bytes and unpacks to {sum(sizes)} bytes in {len(sizes)} files, "
            f"expected at most {limit} bytes in {MAX_MEMBERS} files."
        )
