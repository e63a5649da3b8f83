"""Check the name and version of a pack, which become part of URLs, file names and labels."""

from __future__ import annotations

import re

from onnxpack.errors import UsageError

LONGEST = 128
NAME = rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}\Z"
VERSION = rf"^[A-Za-z0-9][A-Za-z0-9._+-]{{0,{LONGEST - 1}}}\Z"


def check_name(name: str, version: str) -> None:
    """Check that a manifest accepts this name and version, before the work starts.

    Raises:
        UsageError: name or version is too long, or has other characters.
    """
    for what, given, pattern, signs in (
        ("name", name, NAME, "., _ and -"),
        ("version", version, VERSION, "., _, + and -"),
    ):
        if not re.match(pattern, given):
            raise UsageError(
                f"{given!r} cannot be the {what} of a pack: expected a letter or digit, "
                f"followed by letters, digits, {signs}, at most {LONGEST} characters in all."
            )


def name_after(folder: str) -> str:
    """Return a name for a pack in this folder; the folder's own name may have spaces."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder).strip("-._")
    return plain[:LONGEST] or "model"
