"""The name and the version of a pack: they go into addresses, file names and labels."""

from __future__ import annotations

import re

from onnxpack.errors import UsageError

LONGEST = 128
NAME = rf"^[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}\Z"
VERSION = rf"^[A-Za-z0-9][A-Za-z0-9._+-]{{0,{LONGEST - 1}}}\Z"


def check_name(name: str, version: str) -> None:
    """Refuse what no manifest can hold, before the work that makes one.

    Raises:
        UsageError: one of them has other signs, or is too long.
    """
    for what, given, pattern, signs in (
        ("name", name, NAME, "., _ and -"),
        ("version", version, VERSION, "., _, + and -"),
    ):
        if not re.match(pattern, given):
            raise UsageError(
                f"{given!r} cannot be the {what} of a pack: it begins with a letter or digit, and "
                f"goes on with letters, digits, {signs}, up to {LONGEST} in all."
            )


def name_after(folder: str) -> str:
    """Return a name for the pack in this folder, whose own may have spaces."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder).strip("-._")
    return plain[:LONGEST] or "model"
