"""Run a program in a child process with limits, for libraries that believe what they read.

A library in C++ may end its process with a signal, never end, or take all memory. None of that can
be caught in the process where it happens.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

REFUSED = 3
"""Exit code of a child whose library refused its input, with the reason on stderr."""
PR_SET_PDEATHSIG = 1
MAPPED = 4 * 2**30
"""Address space that libraries map beyond what they fill."""

_LIMITED = f"""
import ctypes, os, resource, signal, sys

# Ends with its parent, which may be killed while it waits.
ctypes.CDLL(None).prctl({PR_SET_PDEATHSIG}, signal.SIGKILL)
if os.getppid() != {{parent}}:
    sys.exit({REFUSED})

def limit(kind, most):
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))

limit(resource.RLIMIT_DATA, {{memory}})
limit(resource.RLIMIT_AS, {{memory}} + {MAPPED})
limit(resource.RLIMIT_CORE, 0)
if {{processor}}:
    limit(resource.RLIMIT_CPU, {{processor}})
try:
    {{program}}
except MemoryError:
    raise
except Exception as exc:
    print(str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc), file=sys.stderr)
    sys.exit({REFUSED})
"""


class Kind(Enum):
    """The ways in which a child process can end."""

    DONE = "done"
    REFUSED = "refused"
    SIGNAL = "signal"
    TIME = "time"
    MEMORY = "memory"


class Ended(NamedTuple):
    """How a child ended, and what it said.

    Attributes:
        kind: how it ended.
        said: what it printed if it is done; else the reason, or the name of the signal.
    """

    kind: Kind
    said: str = ""


def run_limited(
    program: str,
    arguments: Sequence[str],
    *,
    seconds: float,
    memory: int,
    processor: float | None = None,
    descriptors: Sequence[int] = (),
) -> Ended:
    """Run lines of Python in a child process, and return how it ended.

    Args:
        program: lines of Python, each indented by four spaces but the first. An exception is a
            refusal.
        arguments: what the program finds in ``sys.argv``.
        seconds: longest time that it may take.
        memory: most bytes that it may take.
        processor: longest time of a processor that all its threads may take together, which is
            the same on a busy machine; None for no limit but ``seconds``.
        descriptors: open files that it may use, by the same numbers.
    """
    code = _LIMITED.replace("{memory}", str(memory)).replace("{parent}", str(os.getpid()))
    code = code.replace("{processor}", _whole(processor)).replace("{program}", program)
    # The child imports from where this process does, and, by -P, not from the current folder, which
    # may be that of a hostile pack.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *arguments],
            capture_output=True,
            timeout=seconds,
            check=False,
            env=environment,
            pass_fds=descriptors,
        )
    except subprocess.TimeoutExpired:
        return Ended(Kind.TIME)
    if done.returncode == -signal.SIGXCPU:
        return Ended(Kind.TIME)
    if done.returncode < 0:
        return Ended(Kind.SIGNAL, signal.Signals(-done.returncode).name)
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2][:500]
    if done.returncode == REFUSED:
        return Ended(Kind.REFUSED, last)
    if done.returncode:
        return Ended(Kind.MEMORY, last)
    return Ended(Kind.DONE, done.stdout.decode(errors="replace"))


def _whole(seconds: float | None) -> str:
    return "0" if seconds is None else str(max(1, round(seconds)))
