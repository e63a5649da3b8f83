"""Find the line of the user's own code from which an error came."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from pathlib import Path

LIBRARIES = tuple(
    sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
OURS = str(Path(__file__).parents[1])


def place_of(exc: BaseException) -> str:
    """Return the innermost line of the user's code as `` (model.py:12: x.view(2, 4))``, or ""."""
    for frame, line in reversed(list(traceback.walk_tb(exc.__traceback__))):
        file = frame.f_code.co_filename
        if is_users(file):
            code = linecache.getline(file, line).strip()
            return f" ({Path(file).name}:{line}: {code})"
    return ""


def is_users(file: str) -> bool:
    """Return whether a file is the user's: not of a library, of onnxpack, or generated."""
    return not file.startswith(("<", OURS, *LIBRARIES)) and "/site-packages/" not in file
