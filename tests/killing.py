"""Processes that are killed at random moments: what they leave must never look whole."""

from __future__ import annotations

import importlib
import os
import random
import select
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import TypeAlias

TIMES = 30

Work: TypeAlias = Callable[[int], object]


def kill_at_random(work: Work, check: Work) -> None:
    """Run the work in 30 processes and kill each at another moment; check after each.

    Both are called with the number of the try. The process of number 0 is not killed: its time
    says within which the others are.
    """
    moments = random.Random(0)
    _import_what(work)
    begun = perf_counter()
    _end_well(work, 0)
    seconds = perf_counter() - begun
    _end_well(check, 0)
    killed = number = 0
    while killed < TIMES:
        number += 1
        if _killed(work, number, after=moments.uniform(0, seconds)):
            killed += 1
            _end_well(check, number)
        else:  # it ended before: the machine is faster now
            seconds *= 0.8


def _import_what(work: Work) -> None:
    """Import what the work imports, so that the processes need not.

    The work itself is not run here: threads that it leaves would be missing in the processes.
    """
    source, target = os.pipe()

    def list_modules(number: int) -> None:
        work(number)
        with open(target, "w") as names:  # noqa: PTH123 - a descriptor
            names.write("\n".join(sys.modules))

    child = _start(list_modules, 0)
    os.close(target)
    with open(source) as names:  # noqa: PTH123 - a descriptor
        for name in names.read().splitlines():
            with suppress(ImportError):
                importlib.import_module(name)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _killed(work: Work, number: int, *, after: float) -> bool:
    child = _start(work, number)
    handle = os.pidfd_open(child)
    ended, _, _ = select.select([handle], [], [], after)
    os.close(handle)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return not ended


def _end_well(work: Work, number: int) -> None:
    assert os.waitstatus_to_exitcode(os.waitpid(_start(work, number), 0)[1]) == 0


def _start(work: Work, number: int) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work(number)
        code = 0
    except BaseException:  # noqa: BLE001 - the child must not return into the caller
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)
