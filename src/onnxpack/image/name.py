"""Name an image after its pack; a registry accepts fewer names than a pack may have."""

from __future__ import annotations

import re

from onnxpack.errors import UsageError
from onnxpack.pack.model import Pack

_SEPARATOR = re.compile(r"\.|_|__|-+")


def name_of(pack: Pack) -> str:
    """Return a repository and a tag: ``Net`` in version ``2.0+b`` becomes ``net:2.0-b``.

    Raises:
        UsageError: no letter and no digit of the pack's name may be in the name of an image.
    """
    plain = re.sub(r"[^a-z0-9._-]+", "-", pack.name.lower())
    repository = re.sub(r"[._-]+", _separator, plain).strip("._-")
    if not repository:
        raise UsageError(
            f"no image can be named after the pack {pack.name!r}: expected a letter or digit of "
            "ASCII in it.",
            remedy="name the image with -t",
        )
    # Versions and tags have the same characters but for the +; the image's label keeps it.
    version = pack.manifest.version.replace("+", "-") if pack.manifest else "1"
    return f"{repository}:{version}"


def _separator(found: re.Match[str]) -> str:
    return found[0] if _SEPARATOR.fullmatch(found[0]) else "-"
