"""Try a model file in a child process first.

XGBoost 3, LightGBM 4 and CatBoost 1 believe their files: a child node out of range ends the process
with a signal, a loop of nodes never ends, and a large count takes all memory.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from onnxpack.errors import TargetError

SECONDS = 60
"""Longest time that a file may take."""
MEMORY = 8 * 2**30
"""Most bytes of address space that a file may take."""
REFUSED = 3
"""Exit code of a child whose library refused the file, with the reason on stderr."""

_LIMITED = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import numpy as np

def rows(count):
    random = np.random.default_rng(0)
    found = random.normal(size=(64, count)) * 10.0 ** random.integers(-3, 7, size=(64, 1))
    found[::7, ::3] = np.nan
    return found

def ask(predict):
    try:
        predict()
    except MemoryError:
        raise
    except Exception:
        pass  # a whole model refuses numbers where it wants categories

try:
    {{code}}
except MemoryError:
    raise
except Exception as exc:
    print(str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc), file=sys.stderr)
    sys.exit({REFUSED})
"""


def try_in_child(path: Path, kind: str, code: str) -> None:
    """Run code that reads a model file and predicts with it, and see whether it ends.

    Args:
        path: path of the file, which the code finds in ``sys.argv[1]``.
        kind: what the file should be, for the message: ``an XGBoost model``.
        code: lines of Python, each indented by four spaces but the first. ``rows(n)`` makes rows of
            n features; ``ask(function)`` calls a function that may raise an error.

    Raises:
        TargetError: the library refused the file, or the process ended by a signal, or took too
            long or too much memory.
    """
    program = _LIMITED.replace("{code}", code)
    command = [sys.executable, "-c", program, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as exc:
        raise TargetError(f"{path} was still being read after {SECONDS} s.") from exc
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise TargetError(f"{path} ends the process that reads it with {name}: it is damaged.")
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:500]
    if done.returncode == REFUSED:
        raise TargetError(f"{path} is not {kind}: {last}")
    if done.returncode:
        raise TargetError(f"{path} cannot be read with {MEMORY // 2**30} GiB of memory: {last}")
