"""Where in the user's own code an error came from."""

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
    """The innermost line of the user's code, as `` (model.py:12: x.view(2, 4))``; or nothing."""
    for frame, line in reversed(list(traceback.walk_tb(exc.__traceback__))):
        file = frame.f_code.co_filename
        if is_users(file):
            code = linecache.getline(file, line).strip()
            return f" ({Path(file).name}:{line}: {code})"
    return ""


def is_users(file: str) -> bool:
    """Whether a file is neither of a library, nor ours, nor made up."""
    return not file.startswith(("<", OURS, *LIBRARIES)) and "/site-packages/" not in file
