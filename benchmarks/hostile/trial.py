"""Run onnxpack against an attack, in a process with limits, and judge how it held."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryFile

SECONDS = 30.0
"""Longest time that judging a hostile file may take."""
MEMORY = 2 * 2**30
"""Most bytes of resident memory that judging a hostile file may take."""
HARD_SECONDS, HARD_MEMORY = 330, 12 * 2**30
"""Limits at which a process is stopped, so that an attack that gets through leaves the machine."""
SAID_NO = (1, 2, 4)
"""Exit codes of ``onnxpack`` that accept nothing: the check said no, bad input, not proven."""
_LAUNCHER = f"""
import os, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_DATA, ({HARD_MEMORY}, {HARD_MEMORY}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
said = f"{{os.waitstatus_to_exitcode(status)}} {{usage.ru_maxrss}}"
os.write(int(sys.argv[1]), said.encode())
"""
"""A small program between this one and onnxpack: Linux counts the memory of the process that starts
another as that of the other."""
TRACEBACK = re.compile(r"Traceback \(most recent call last\)|a bug in onnxpack")


@dataclass(frozen=True)
class Attack:
    """Something hostile, and the commands that meet it.

    Attributes:
        name: what it is, in a few words.
        lines: command lines of ``onnxpack``, each tried in a process of its own.
        refused: whether each command has to refuse; otherwise it only has to end in bounds.
        after: called when all commands have run; returns what is wrong on disk, or nothing.
        environment: variables of the environment beside this process's.
        bound: seconds that each command may take.
    """

    name: str
    lines: tuple[tuple[str, ...], ...]
    refused: bool = True
    after: Callable[[], str] = str
    environment: Mapping[str, str] = field(default_factory=dict)
    bound: float = SECONDS


@dataclass(frozen=True)
class Trial:
    """The result of one attack.

    Attributes:
        name: the attack.
        fault: how it got through; empty if it was held.
        seconds: time of the slowest command.
        memory: bytes of resident memory of the largest process.
    """

    name: str
    fault: str
    seconds: float
    memory: int


def attempt(attack: Attack) -> Trial:
    """Run the commands of an attack, and judge them."""
    faults: list[str] = []
    slowest, largest = 0.0, 0
    for line in attack.lines:
        code, said, seconds, memory = run(line, attack.environment)
        slowest, largest = max(slowest, seconds), max(largest, memory)
        fault = _fault(code, said, refused=attack.refused) or _beyond(seconds, memory, attack.bound)
        if fault:
            faults.append(f"{line[0]}: {fault}")
    on_disk = attack.after()
    return Trial(
        attack.name, "; ".join([*faults, on_disk] if on_disk else faults), slowest, largest
    )


def run(
    line: tuple[str, ...], environment: Mapping[str, str] = os.environ
) -> tuple[int, str, float, int]:
    """Run ``onnxpack`` once; return its exit code, output, seconds and bytes of memory."""
    begun = time.perf_counter()
    with TemporaryFile() as measured:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(measured.fileno()),
             sys.executable, "-m", "onnxpack", *line],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "200", **environment},
            start_new_session=True, pass_fds=[measured.fileno()],
        )  # fmt: skip
        with _stopped_in_time(process):
            said = process.communicate()[0].decode(errors="replace")
        seconds = time.perf_counter() - begun
        measured.seek(0)
        found = measured.read().split()
    code, kilobytes = map(int, found) if found else (-signal.SIGKILL, 0)
    return code, said, seconds, kilobytes * 1024


@contextmanager
def _stopped_in_time(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill a process and its children when the hard limit of time is over."""
    timer = threading.Timer(HARD_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _fault(code: int, said: str, *, refused: bool) -> str:
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    if TRACEBACK.search(said):
        return said.strip().splitlines()[-1][:200]
    if refused and code not in SAID_NO:
        return f"exit code {code}, expected one of {SAID_NO}"
    return ""


def _beyond(seconds: float, memory: int, bound: float) -> str:
    if seconds > bound:
        return f"{seconds:.0f} s, expected at most {bound:.0f}"
    if memory > MEMORY:
        return f"{memory / 2**30:.1f} GiB, expected at most {MEMORY / 2**30:.0f}"
    return ""
