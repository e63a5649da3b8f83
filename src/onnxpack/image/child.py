"""Run a program for a build so that it never outlives the build, nor signals the caller."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SUPERVISOR = Path(__file__).with_name("supervise.py")


def run_child(
    command: Sequence[str],
    *,
    given: str | None = None,
    environment: Mapping[str, str] | None = None,
    keep_open: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return its exit code and output.

    The program runs in a session of its own. It is ended, with the programs that it started, if
    waiting for it is interrupted, or if this process ends in any way.

    Args:
        command: the program and its arguments.
        given: text for its standard input.
        environment: variables that it gets in addition to those of this process.
        keep_open: descriptor of a file that stays open, and locked, as long as the program runs.
    """
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(SUPERVISOR), str(os.getpid()), *command],
        stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
        start_new_session=True, pass_fds=() if keep_open is None else (keep_open,),
        env={**os.environ, **(environment or {})},
    ) as child:  # fmt: skip
        try:
            out, err = child.communicate(given)
        except BaseException:
            child.terminate()
            raise
    return subprocess.CompletedProcess(command, child.returncode, out, err)
