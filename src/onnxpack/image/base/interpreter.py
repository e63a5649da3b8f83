"""Find the Python of a base, and check that a container could start it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from onnxpack.errors import ImageError
from onnxpack.image.base.files import Folder, Leaf, find, merged
from onnxpack.oci.image import Image

USER = 65532
"""The user and the group that images run as."""
_PYTHON = re.compile(r"python(3\.[0-9]{1,3})")
_FOLDERS = ("usr/local/bin", "usr/bin")
_OLDEST = (3, 11)


def find_python(image: Image, name: str) -> dict[str, str]:
    """Return the newest Python of a base: its absolute path, and its version.

    Args:
        image: the base.
        name: name of the base for messages.

    Raises:
        ImageError: the base has no Python, one that is too old, or one that cannot be started.
    """
    root = merged(image.layers)
    found = sorted(_pythons(root), key=lambda each: _number(each[1]))
    if not found:
        raise ImageError(
            f"the base {name} has no Python in usr/bin or usr/local/bin.",
            remedy="--base python:3.13-slim",
        )
    path, version = found[-1]
    fault = _fault(root, path)
    if _number(version) < _OLDEST:
        fault = f"has Python {version}, expected 3.11 or newer"
    if fault:
        raise ImageError(f"the base {name} {fault}.", remedy="--base python:3.13-slim")
    return {"interpreter": f"/{path}", "version": version}


def _pythons(root: Folder) -> Iterator[tuple[str, str]]:
    """Yield path and version of each Python; of one version, the last is the one to take."""
    opt = find(root, "opt")
    folders = [f"opt/{each}/bin" for each in sorted(opt)] if isinstance(opt, dict) else []
    for folder in (*folders, *reversed(_FOLDERS)):
        names = find(root, folder)
        for name in names if isinstance(names, dict) else ():
            if match := _PYTHON.fullmatch(name):
                yield f"{folder}/{name}", match[1]


def _fault(root: Folder, path: str) -> str:
    """Return why a path cannot be the start of an entry point, or an empty string."""
    if not path.isprintable():
        return f"has its Python at {path!r}, whose name has characters that cannot be shown"
    found = find(root, path)
    if not isinstance(found, Leaf) or found.kind != "file":
        kind = "a folder" if isinstance(found, dict) else "a link to nothing"
        what = f"a {found.kind}" if isinstance(found, Leaf) else kind
        return f"has {what} at {path}, expected the file of a Python"
    user, group = (each == USER for each in found.owner)
    # As Linux chooses: the owner's bit, else the group's, else that of all others.
    if not found.mode & (0o100 if user else 0o010 if group else 0o001):
        return f"has {path} with the mode {found.mode:o}, which user {USER} cannot run"
    return ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))
