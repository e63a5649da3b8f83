"""Try a model file in a child process first.

XGBoost 3, LightGBM 4 and CatBoost 1 believe their files: a child node out of range ends the process
with a signal, a loop of nodes never ends, and a large count takes all memory.
"""

from __future__ import annotations

from pathlib import Path

from onnxpack.child import Kind, run_limited
from onnxpack.errors import TargetError

SECONDS = 60
"""Longest time that a file may take."""
MEMORY = 8 * 2**30
"""Most bytes that a file may take."""

_TRIED = """import numpy as np

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
    ended = run_limited(_TRIED + code, [str(path)], seconds=SECONDS, memory=MEMORY)
    if ended.kind is Kind.TIME:
        raise TargetError(f"{path} was still being read after {SECONDS} s.")
    if ended.kind is Kind.SIGNAL:
        raise TargetError(
            f"{path} ends the process that reads it with {ended.said}: it is damaged."
        )
    if ended.kind is Kind.REFUSED:
        raise TargetError(f"{path} is not {kind}: {ended.said}")
    if ended.kind is Kind.MEMORY:
        raise TargetError(
            f"{path} cannot be read with {MEMORY // 2**30} GiB of memory: {ended.said}"
        )
