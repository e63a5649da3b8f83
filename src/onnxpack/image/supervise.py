"""Run a command whose whole process group ends when the process that wants it ends.

``python -I -S supervise.py PARENT COMMAND…`` runs in a session of its own, so the command cannot
signal the group of ``PARENT``: mmdebstrap does that when the disk is full. If ``PARENT`` ends in
any way, also by SIGKILL, the kernel sends SIGTERM here, and the command's group is ended.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import NoReturn

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SECONDS = 5
"""The time that a command has to clean up after SIGTERM."""


class _EndError(Exception):
    """The parent ended, or asked for the end."""


def main(parent: int, command: list[str]) -> int:
    """Run the command and return its exit code; 128 and more stand for a signal."""
    process = None
    signal.signal(signal.SIGTERM, _end)
    # mmdebstrap sends it to its group. A handler, since the command would inherit "ignore".
    signal.signal(signal.SIGHUP, lambda *_: None)
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before the kernel knew of the wish
            raise _EndError
        process = subprocess.Popen(command, close_fds=False)
        code = process.wait()
    except _EndError:
        _end_group(process)
    return code if code >= 0 else 128 - code


def _end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _EndError


def _end_group(process: subprocess.Popen[bytes] | None) -> NoReturn:
    """End the group, after some time to clean up; this process is a part of it."""
    os.killpg(0, signal.SIGTERM)
    if process is not None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS)
    os.killpg(0, signal.SIGKILL)
    sys.exit(128 + signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
